"""What a run has found, as one page that opens without a network, and as figures for papers."""
