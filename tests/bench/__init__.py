"""What this machine does, in ratios: `make bench`.

Every figure is measured beside a reference in the same run and on the same cores: reference,
ours, reference, five rounds; the ratio is the median of the rounds, and a row is void where the
two references of most rounds differ by more than a tenth: then the machine was too noisy to tell.
"""
