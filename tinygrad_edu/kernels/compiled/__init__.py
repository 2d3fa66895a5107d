"""The Numba twins, one module a family. Nothing outside `backend.twins` imports these: they pull in Numba."""
