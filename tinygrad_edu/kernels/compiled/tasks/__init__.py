"""What is compiled: kernels that work on addresses. A change here asks for `make kernels`.

Each is a function of (args, thread, threads, itemsize, height, width), see `native`; it cannot raise. All modules here
import Numba, and are themselves imported only where the store lacks a kernel.
"""
