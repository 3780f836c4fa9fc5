# Run in a client or in a namespace of one: its local folders, what NFSv3 needs, and the mount of the export.
#   client.sh NODE VERSION OPTIONS HOSTS
# /var/tmp and the state of statd are on the node's own disk, as on a real node; NFSv3 needs that state after a reboot.
node=$1 version=$2 options=$3 hosts=$4
disk=/lab/disk/nodes/$node
mkdir -p "$disk/evidence" "$disk/logs" "$disk/var-tmp" "$disk/statd/sm" "$disk/statd/sm.bak" /lab/nfs /lab/evidence
chmod 1777 "$disk/var-tmp"
cp "$hosts" /etc/hosts
mount --bind "$disk/var-tmp" /var/tmp
mount --bind "$disk/evidence" /lab/evidence
mount --bind "$disk/statd" /var/lib/nfs
modprobe -a nfs nfsv3 nfsv4
case $version in
    3)
        export=/lab/disk/export
        mkdir -p /run/rpcbind
        rpcbind
        rpc.statd
        ;;
    *) export=/ ;; # the server's root of NFSv4: fsid=0 in its exports
esac
mount -t nfs -o "vers=$version${options:+,$options}" "server:$export" /lab/nfs
