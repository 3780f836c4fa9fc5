"""rq_py on real NFS: kernels in QEMU as server and clients, and scenarios that break things between them."""
