/** Programs of the operating system that some long tests need, by the name that `get-programs.js` takes. */
export const testPrograms = {
  slurm: {
    what: 'Slurm',
    programs: ['slurmctld', 'slurmd', 'sbatch', 'scontrol', 'munged'],
    packages: {
      'apt-get': ['slurm-wlm', 'munge'],
      dnf: ['slurm-slurmctld', 'slurm-slurmd', 'slurm', 'munge'],
    },
  },
};
