/** Programs of the operating system that some long tests need, by the name that `get-programs.js` takes. */
export const testPrograms = {
  containers: {
    what: 'A builder of images',
    // crun refuses machines that have both versions of cgroups. mmdebstrap makes the base image from Debian's packages, as a
    // registry of images may be out of reach.
    programs: ['podman', 'runc', 'iptables', 'mmdebstrap'],
    packages: {
      'apt-get': [
        ...['podman', 'runc', 'netavark', 'aardvark-dns', 'iptables'],
        ...['mmdebstrap', 'debian-archive-keyring'],
      ],
    },
  },
  shells: {
    what: 'zsh and fish',
    programs: ['zsh', 'fish'],
    packages: { 'apt-get': ['zsh', 'fish'], dnf: ['zsh', 'fish'] },
  },
  slurm: {
    what: 'Slurm',
    programs: ['slurmctld', 'slurmd', 'sbatch', 'scontrol', 'munged'],
    packages: {
      'apt-get': ['slurm-wlm', 'munge'],
      dnf: ['slurm-slurmctld', 'slurm-slurmd', 'slurm', 'munge'],
    },
  },
};
