"""What is computed: kernels, numpy in and numpy out. No Beam, no IO, no clock."""
