"""The fast ways of synthesis on a CPU against plain ones: noise, blend, hashes, threads."""

import os
import threading
from collections import Counter

import numpy as np
import pytest
import torch

from blemish.synthesis.blend import blend_on_cpu, blend_on_device, unit_range
from blemish.synthesis.perlin import MARGIN, draw_numbers, perlin_field
from blemish.synthesis.perlin_cpu import exceeds_nearly, field_of_lattice, turn_field
from blemish.synthesis.random import uniforms
from blemish.synthesis.textures import Pixels
from blemish.synthesis.threads import in_threads
from tests.drawing import some_images


@pytest.mark.parametrize(("height", "width"), [(31, 20), (50, 93), (288, 288), (520, 384)])
def test_the_float32_field_errs_far_less_than_the_margin(height: int, width: int) -> None:
    seeds = torch.arange(24) * 1_234_577
    expected = perlin_field(seeds, 2, height, width).numpy()
    cells, turns, angles = (numbers.numpy() for numbers in draw_numbers(seeds, 2))
    worst = 0.0
    for number, (rows, columns) in enumerate(cells.astype(int)):
        lattice = angles[number, : rows + 1, : columns + 1].astype(np.float32)
        found = turn_field(field_of_lattice(lattice, (height, width)), turns[number])
        worst = max(worst, float(np.abs(found - expected[number]).max()))
    assert 0 < worst < MARGIN / 4


def test_pixels_between_the_levels_are_those_of_the_field() -> None:
    seeds = torch.arange(20) * 7919
    draws = [numbers.numpy() for numbers in draw_numbers(seeds, 1)]
    exceeds, between = exceeds_nearly(*draws, (64, 48), 0.3, 0.5)
    field = perlin_field(seeds, 1, 64, 48).numpy()
    assert np.array_equal(exceeds, field > 0.5)
    assert np.array_equal(between, np.flatnonzero((field > 0.3) & (field <= 0.5)))


def test_the_blend_is_the_same_on_a_cpu_and_on_any_device() -> None:
    random = np.random.default_rng(1)
    images = some_images(40, 56, 9)
    masks = torch.from_numpy(random.random((9, 40, 56)) < random.random((9, 1, 1)))
    masks[3] = False
    row, y, x = masks.nonzero().unbind(1)
    colours = torch.from_numpy(random.integers(0, 256, (len(row), 3), dtype=np.uint8))
    textures = Pixels(row, y * 56 + x, colours)
    shares = torch.from_numpy(random.random(9)).float()
    found = blend_on_cpu(images, textures, shares)
    assert torch.equal(found, blend_on_device(images, textures, shares))
    # Both against the formula: whole pictures, float64.
    texture = torch.zeros(9, 40, 56, 3, dtype=torch.float64)
    texture[row, y, x] = colours.double() / 255
    normal = images.double() / 255
    weight = shares.double()[:, None, None, None] * masks[:, None]
    expected = (1 - weight) * normal + weight * texture.permute(0, 3, 1, 2)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


def test_every_level_is_divided_by_white() -> None:
    levels = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    assert torch.equal(unit_range(levels), levels.float() / 255)


def murmur(value: int) -> int:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = ((value ^ value >> shift) * factor) % 2**32
    return value ^ value >> 16


def test_uniform_numbers_are_the_hash_of_seed_stream_and_position() -> None:
    seeds = [0, 1, 77, 2**31, 2**32 - 1]
    for stream in (0, 1, 3, 16, 90):
        found = uniforms(torch.tensor(seeds), stream, 5)
        for number, seed in enumerate(seeds):
            key = murmur(seed ^ murmur(stream * 0x632BE5AB % 2**32))
            places = [murmur((position + 0x9E3779B9) % 2**32) for position in range(5)]
            assert found[number].tolist() == [murmur(key ^ place) / 2**32 for place in places]


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_threads_share_the_work_and_hand_on_errors() -> None:
    done: list[tuple[int, int]] = []
    together = threading.Barrier(3, timeout=60)

    def work(number: int) -> None:
        if number < 3:
            together.wait()  # passes only if three threads are at work
        done.append((number, threading.get_ident()))

    in_threads(work, 40)
    assert Counter(number for number, _ in done) == Counter(range(40))
    assert {thread for _, thread in done} >= {threading.get_ident()}

    def fail(number: int) -> None:
        if number == 11:
            raise ValueError("number eleven")

    with pytest.raises(ValueError, match="number eleven"):
        in_threads(fail, 20)
    in_threads(fail, 0)  # nothing to do


@pytest.mark.usefixtures("three_threads")
def test_a_forked_process_has_threads_of_its_own() -> None:
    in_threads(lambda _: None, 8)
    child = os.fork()
    if not child:
        total = [0] * 8
        in_threads(lambda number: total.__setitem__(number, 1), 8)
        os._exit(0 if sum(total) == 8 else 1)
    assert os.waitpid(child, 0)[1] == 0
