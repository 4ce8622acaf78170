"""Sound as a picture: a spectrogram, whose patches the same encoder reads.

A sound is cut into short overlapping frames; the length of each frame's Fourier transform says how
much of each frequency it holds. Time goes to the right, pitch goes up, and what was an ear's
problem has become a picture. Speech models take patches of it as tokens.

    frames        (T, window)                    a frame every `hop` samples, under a Hann window
    spectrogram   log(|rfft(frames)|² + floor)   (window / 2 + 1, T)

Taught in:        multimodal
Paper:            Gong et al. 2021, arXiv:2104.01778; Radford et al. 2022, arXiv:2212.04356
Checked against:  torch.stft
Shapes:           S samples, F frequencies, T frames
"""

import torch
from jaxtyping import Float
from torch import Tensor


def spectrogram(
    samples: Float[Tensor, " S"], window: int, hop: int, floor: float = 1e-6
) -> Float[Tensor, "F T"]:
    """Return the log-power of each frequency in each frame; the last row is the highest pitch."""
    if len(samples) < window or min(window, hop) < 1:
        raise ValueError(
            f"a sound must be at least as long as one window; got {len(samples)} samples, a window "
            f"of {window} and a hop of {hop}."
        )
    frames = samples.unfold(0, window, hop)  # (T, window)
    hann = torch.hann_window(window, device=samples.device, dtype=samples.dtype)
    power = torch.fft.rfft(frames * hann).abs() ** 2  # (T, F)
    return (power + floor).log().T


def tone(pitches: list[float], seconds: float, rate: int) -> Float[Tensor, " S"]:
    """Return a sound of several pitches in turn, each for an equal part of the time."""
    if not pitches:
        raise ValueError("a sound needs at least one pitch; got none.")
    time = torch.arange(int(seconds * rate / len(pitches))) / rate
    return torch.cat([torch.sin(2 * torch.pi * pitch * time) for pitch in pitches])
