"""The NFS lab: an NFS server, clients and faults, all in virtual machines of this one machine."""
