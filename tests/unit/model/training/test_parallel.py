"""Threads that work in parallel: results in order, torch's threads divided among them, and no waiting after an interruption."""

import threading
from collections.abc import Iterator

import pytest
import torch

from daycast.model.training.parallel import map_parallel, run_parallel, threads_for


def in_another_thread() -> int:
    """How many threads torch would use there."""
    seen = list[int]()
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    return seen[0]


def test_the_results_stand_in_the_order_of_the_parts_whichever_was_first() -> None:
    second_is_done = threading.Event()

    def work(part: int) -> int:
        if part == 1:
            assert second_is_done.wait(300)
        if part == 2:
            second_is_done.set()
        return 10 * part

    assert run_parallel(work, [1, 2, 3], 2) == [10, 20, 30]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_that_are_asked_for_one_by_one_are_made_a_few_ahead(threads: int) -> None:
    taken = list[int]()

    def parts() -> Iterator[int]:
        for part in range(20):
            taken.append(part)
            yield part

    for asked, result in enumerate(map_parallel(lambda part: 10 * part, parts(), threads), 1):
        assert result == 10 * (asked - 1)
        assert len(taken) == min(asked if threads == 1 else asked + threads, 20)
    assert asked == 20
    assert list(map_parallel(lambda part: part, [], threads)) == []


def test_an_error_of_a_part_comes_in_its_turn_and_torch_has_its_threads_back() -> None:
    def work(part: int) -> int:
        if part == 1:
            raise ValueError("the second part")
        return part

    results, threads = map_parallel(work, range(9), 2), torch.get_num_threads()
    assert next(results) == 0
    with pytest.raises(ValueError, match="the second part"):
        next(results)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("threads", "each"), [(1, 4), (2, 2), (3, 1), (8, 1)])
@pytest.mark.parametrize("torch_threads", [4], indirect=True)
@pytest.mark.usefixtures("torch_threads")
def test_torchs_threads_are_divided_and_given_back(threads: int, each: int) -> None:
    assert run_parallel(lambda _: (torch.get_num_threads(), in_another_thread()), range(3), threads) == [(each, 4)] * 3
    assert (torch.get_num_threads(), in_another_thread()) == (4, 4)


@pytest.mark.parametrize(("parts", "threads", "each"), [(1, 4, 1), (1, 2, 2), (9, 4, 1), (2, 8, 1)])
@pytest.mark.parametrize("torch_threads", [4], indirect=True)
@pytest.mark.usefixtures("torch_threads")
def test_a_part_has_the_same_share_of_torchs_threads_however_few_there_are(parts: int, threads: int, each: int) -> None:
    """Else a small forecast would share each operation, and be other than in a large one by rounding."""
    seen = list(map_parallel(lambda _: torch.get_num_threads(), range(parts), threads))
    assert seen == [each] * parts
    assert seen == run_parallel(lambda _: torch.get_num_threads(), range(parts), threads)


@pytest.mark.parametrize("torch_threads", [8], indirect=True)
@pytest.mark.usefixtures("torch_threads")
def test_threads_within_threads_leave_torchs_number_as_it_was() -> None:
    def work(_: int) -> list[int]:
        return list(map_parallel(lambda _: torch.get_num_threads(), range(3), torch.get_num_threads()))

    assert list(map_parallel(work, range(3), 3)) == [[1, 1, 1]] * 3
    assert (torch.get_num_threads(), in_another_thread()) == (8, 8)


@pytest.mark.parametrize("torch_threads", [4], indirect=True)
@pytest.mark.usefixtures("torch_threads")
def test_a_cpu_gets_a_part_for_each_of_torchs_threads_and_a_gpu_one() -> None:
    assert [threads_for(torch.device(name)) for name in ("cpu", "cuda")] == [4, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_of_nothing_nothing_is_made(threads: int) -> None:
    assert run_parallel(lambda part: part, [], threads) == []


def test_one_thread_is_the_callers_own() -> None:
    assert run_parallel(lambda _: threading.get_ident(), range(2), 1) == [threading.get_ident()] * 2


def test_an_error_is_raised_at_once_while_another_part_still_runs() -> None:
    told = threading.Event()

    def work(part: int) -> bool:
        if part == 0:
            raise ValueError("the first part")
        return told.wait(300)

    with pytest.raises(ValueError, match="the first part"):
        run_parallel(work, [0, 1], 2)
    told.set()


@pytest.mark.parametrize("threads", [1, 2])
def test_subnormal_numbers_are_zero_meanwhile_also_further_in_and_afterwards_no_longer(threads: int) -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot take subnormal numbers for zero")

    def smallest(_: int) -> float:
        run_parallel(lambda _: None, [1], 1)  # as a validation within the training of a network
        return (torch.tensor([1e-30]) * 1e-10).item()

    assert run_parallel(smallest, [1, 2], threads) == [0.0, 0.0]
    assert smallest(0) > 0
