# Run in the server: exports /lab/disk/export to everybody by every version of NFS.
#   server.sh LEASE HOSTS
# LEASE is in seconds and also the length of the grace periods. What a server remembers of its clients over a
# reboot (nfsdcld for v4, statd for v3) is on its disk.
lease=$1 hosts=$2
state=/lab/disk/var-lib-nfs
mkdir -p /lab/disk/export "$state/sm" "$state/sm.bak" "$state/nfsdcld" /run/rpc_pipefs /run/rpcbind
cp "$hosts" /etc/hosts
touch "$state/etab" "$state/rmtab"
mount --bind "$state" /var/lib/nfs
modprobe nfsd
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs sunrpc /run/rpc_pipefs
echo "$lease" >/proc/fs/nfsd/nfsv4leasetime
echo "$lease" >/proc/fs/nfsd/nfsv4gracetime
echo "$lease" >/proc/sys/fs/nfs/nlm_grace_period
nfsdcld
rpcbind
rpc.statd
exportfs -o rw,sync,no_subtree_check,no_root_squash,insecure,fsid=0 '*:/lab/disk/export'
rpc.mountd
rpc.nfsd 8
