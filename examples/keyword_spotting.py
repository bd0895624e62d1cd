"""Keyword spotting on an Ethos-U55-128: from arrays of MFCC to the file that is flashed.

    python examples/keyword_spotting.py [--out spotting] [--small]

The words are made up: twelve melodies of three tones in noise, since no recordings come with padless. Bring your own arrays
in the same form, an .npz file with x_train [N, 1, 49, 10], y_train [N], x_test and y_test. The network is the small DS-CNN
of Zhang et al., "Hello Edge" (arXiv:1711.07128).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

import padless

RATE, FRAME, HOP, MELS, COEFFICIENTS = 16_000, 640, 320, 40, 10  # 40 ms every 20 ms
WORDS = 12


def words(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """MFCC [count, 1, 49, 10] of one second each, and their words [count]."""
    rng, scale = np.random.default_rng(seed), np.random.default_rng(0)
    melodies = scale.uniform(300, 3000, (WORDS, 3))  # hertz, the same whatever the seed
    labels = rng.integers(0, WORDS, count)
    time = np.arange(RATE) / RATE
    sounds = rng.normal(0, 1.0, (count, RATE))
    for sound, label in zip(sounds, labels, strict=True):
        start, voice = rng.uniform(0.05, 0.35), rng.uniform(0.9, 1.1)
        for number, pitch in enumerate(melodies[label]):
            begin = start + 0.2 * number
            sound += np.sin(2 * np.pi * pitch * voice * time) * ((time > begin) & (time < begin + 0.2))
    return mfcc(sounds)[:, None].astype(np.float32), labels


def mfcc(sounds: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients [N, frames, 10] of sounds [N, samples]."""
    starts = np.arange(0, sounds.shape[1] - FRAME + 1, HOP)
    frames = sounds[:, starts[:, None] + np.arange(FRAME)] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames, 1024)) ** 2
    mel = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + 4000 / 700), MELS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(1024, 1 / RATE)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    energies = np.log(power @ np.maximum(0, np.minimum(rising, falling)).T + 1e-6)
    cosines = np.cos(np.pi / MELS * np.outer(np.arange(COEFFICIENTS), np.arange(MELS) + 0.5))
    return energies @ cosines.T / MELS


def ds_cnn(width: int = 64, blocks: int = 4) -> nn.Sequential:
    """A convolution of 10x4 with stride 2, then depthwise-separable blocks."""

    def unit(*convolution: int | tuple[int, int], **options: object) -> list[nn.Module]:
        return [nn.Conv2d(*convolution, bias=False, **options), nn.BatchNorm2d(width), nn.ReLU()]  # type: ignore[arg-type]

    layers = unit(1, width, (10, 4), stride=2, padding=(4, 1))
    for _ in range(blocks):
        layers += unit(width, width, 3, padding=1, groups=width) + unit(width, width, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, WORDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("spotting"))
    parser.add_argument("--small", action="store_true", help="a minute's work: fewer words, fewer epochs")
    args = parser.parse_args()
    count, epochs = (300, 2) if args.small else (6000, 12)
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "words.npz"
    x_train, y_train = words(count, seed=1)
    x_test, y_test = words(count // 4, seed=2)
    np.savez(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)

    torch.manual_seed(0)
    images = padless.load_images(str(file), shape=(1, 49, 10))
    model = ds_cnn()
    padless.finetune(model, images, padless.Recipe(epochs=epochs, peak_lr=0.1, batch=50))
    print(f"Dense: {padless.evaluate(model, images):.1f} %")

    batches, example = list(images.calibration(256, seed=0)), torch.zeros(1, 1, 49, 10)
    plan = padless.plan(model, example, target="ethos-u55-128", budget="cycles=50%", images=batches, align="cost")
    small = padless.prune(model, plan)
    padless.recover(small, model, plan, batches)
    print(
        f"Half the cycles ({plan.after['cycles']:,} of {plan.before['cycles']:,}): {padless.evaluate(small, images):.1f} %"
    )
    padless.finetune(small, images, padless.Recipe(epochs=max(1, epochs // 4)), teacher=model)
    print(f"Fine-tuned: {padless.evaluate(small, images):.1f} %")

    written = padless.export(
        small, example, args.out / "spotting.tflite", target="ethos-u55-128", images=batches, test=images
    )
    assert written.fidelity is not None
    print(f"{written.file}: {written.file.stat().st_size:,} bytes, top-1 {written.fidelity.accuracy:.1f} % in LiteRT")


if __name__ == "__main__":
    main()
