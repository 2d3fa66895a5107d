"""The kernels in plain NumPy, one module a family: what a student reads, and what the Numba twins are held to."""
