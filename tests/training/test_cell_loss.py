import torch

from fancnn.training.cell_loss import cell_loss

SIDE, CELLS = 64, 8
NOTHING = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)


def planted(top: int, left: int, height: int = 8, width: int = 8) -> torch.Tensor:
    mask = NOTHING.clone()
    mask[0, top : top + height, left : left + width] = True
    return mask


def cells(hot: float = -10.0, place: tuple[int, int] | None = None) -> torch.Tensor:
    values = torch.full((1, CELLS, CELLS), -10.0)
    if place is not None:
        values[0, *place] = hot
    return values.requires_grad_()


def test_cells_that_are_right_cost_nothing_and_wrong_ones_do() -> None:
    go, ng = torch.zeros(1), torch.ones(1)
    assert cell_loss(cells(), go, NOTHING) < 1e-3
    assert cell_loss(cells(10.0, (2, 3)), go, NOTHING) > 0.1
    assert cell_loss(cells(10.0, (2, 3)), ng, planted(16, 24)) < 1e-3
    assert cell_loss(cells(10.0, (5, 6)), ng, planted(16, 24)) > 5


def test_the_cell_that_a_defect_of_one_pixel_covers_is_meant_and_its_neighbours_do_not_count() -> None:
    values = cells(10.0, (2, 3))
    loss = cell_loss(values, torch.ones(1), planted(20, 28, 1, 1))
    assert loss < 1e-3
    loss.backward()
    assert values.grad is not None
    assert values.grad[0, 1:4, 2:5].count_nonzero() == 1


def test_a_real_ng_image_asks_for_a_defect_somewhere_and_says_nothing_of_the_rest() -> None:
    values = torch.linspace(-3, 3, CELLS * CELLS).reshape(1, CELLS, CELLS).requires_grad_()
    cell_loss(values, torch.ones(1), NOTHING).backward()
    assert values.grad is not None
    assert values.grad.count_nonzero() == 3
    assert (values.grad[values.grad != 0] < 0).all(), "the hottest become hotter"


def test_mixed_images_do_not_count() -> None:
    values = cells(10.0, (2, 3))
    assert cell_loss(values, torch.tensor([0.4]), NOTHING) == 0
