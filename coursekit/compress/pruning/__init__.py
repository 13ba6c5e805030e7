"""Which weights go, zeros that stay zeros, and kernels that make something of them."""
