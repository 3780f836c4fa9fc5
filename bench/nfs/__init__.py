"""The case ``nfs``: programs that run inside the NFS lab, and its report as the harness reads it."""
