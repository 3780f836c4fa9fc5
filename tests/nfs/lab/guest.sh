# Sourced as a guest's first program, in the overlay over the host's root: disk, network, then the agent.
# The host wrote the lines before: node, address, hardware, disk, kernel, python, agent, mounts (what the disk is for).
export PATH="${python%/*}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" LANG=C.UTF-8
mount -t tmpfs run /run
mkdir -p /dev/pts /dev/shm /run/lock /run/rpcbind /lib/modules /lab/disk
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount --bind "$kernel/lib/modules" /lib/modules
hostname "$node"
ip link set lo up
ip link set eth0 address "$hardware"
ip address add "$address" dev eth0
ip link set eth0 up
mount -t ext4 /dev/vda /lab/disk
exec "$python" -I "$agent"
