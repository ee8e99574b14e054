"""Who computes which part of a sweep: SLURM's tasks, Ray's. They only start `jaxmarl-core work`."""
