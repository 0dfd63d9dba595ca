"""What `pinn doctor` looks at: installation, machine, and each backend in an interpreter of its own."""
