from __future__ import annotations

import numpy as np
import pytest
import torch

from spectroflow.materials.composition import ELEMENTS
from spectroflow.modality import builtin
from spectroflow.models.augment import augment
from spectroflow.models.decoder import SpectrumDecoder, raised_cosines
from spectroflow.models.encoder import SpectrumEncoder
from spectroflow.models.vae import CrossModalVAE, Gaussian, alignment_loss, product_of_experts, reconstruction_loss


def spectra(name: str, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    modality = builtin()[name]
    torch.manual_seed(0)
    values = torch.rand(batch, modality.grid.points)
    lines = torch.rand(batch, 5, 4) * torch.tensor([1000.0, 50.0, 10.0, 1.0]) + torch.tensor([120.0, 1.0, 2.0, 0.0])
    lines[:, 3:] = torch.nan
    return values, torch.ones_like(values), lines


def test_encoder_sees_lines_as_a_set() -> None:
    torch.manual_seed(1)
    encoder = SpectrumEncoder(builtin()["raman"], 32, 6, 0.0).eval()
    values, valid, lines = spectra("raman")
    mean, log_variance = encoder(values, valid, lines)
    assert mean.shape == log_variance.shape == (3, 6)
    shuffled = lines[:, torch.tensor([4, 2, 0, 3, 1])]
    torch.testing.assert_close(encoder(values, valid, shuffled)[0], mean)
    padded = torch.cat([lines, torch.full((3, 7, 4), torch.nan)], dim=1)
    torch.testing.assert_close(encoder(values, valid, padded)[0], mean)
    moved = lines.clone()
    moved[:, 0, 0] += 50.0
    assert not torch.allclose(encoder(values, valid, moved)[0], mean)


def test_encoder_does_not_see_what_was_not_measured() -> None:
    encoder = SpectrumEncoder(builtin()["ir"], 32, 6, 0.0).eval()
    values, valid, lines = spectra("ir")
    valid[:, 100:] = 0.0
    other = values.clone()
    other[:, 100:] = 0.5
    torch.testing.assert_close(encoder(values, valid, lines)[0], encoder(other, valid, lines)[0])


def test_an_empty_spectrum_has_finite_gradients() -> None:
    encoder = SpectrumEncoder(builtin()["ir"], 32, 6, 0.0)
    values, valid, lines = spectra("ir")
    empty = torch.full_like(lines, torch.nan)
    sum(part.sum() for part in encoder(torch.zeros_like(values), valid, empty)).backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("shape", ["gaussian", "lorentzian", "pseudo-voigt", "voigt", "thompson-cox-hastings"])
def test_decoder_renders_its_own_lines(shape: str) -> None:
    modality = builtin()["ir"].model_copy(update={"line_shape": shape})
    torch.manual_seed(2)
    decoder = SpectrumDecoder(modality, 16, 4, 12, 0.0).eval()
    latent = torch.randn(2, 4)
    lines, bumps = decoder.describe(latent)
    assert lines.center.shape == (2, 12)
    assert (lines.height >= 0).all()
    assert (lines.fwhm >= modality.fwhm[0]).all()
    assert (lines.eta >= 0).all()
    assert (lines.eta <= 1.001).all()
    t = (decoder.axis - lines.center[..., None]) / lines.fwhm[..., None]
    profile = lines.eta[..., None] / (1 + 4 * t**2) + (1 - lines.eta[..., None]) * torch.exp(-4 * np.log(2) * t**2)
    expected = (lines.height[..., None] * profile).sum(1) + bumps @ decoder.bumps
    torch.testing.assert_close(decoder(latent), expected, atol=1e-4, rtol=1e-4)


def test_decoder_renders_some_points_as_it_renders_all() -> None:
    torch.manual_seed(6)
    decoder = SpectrumDecoder(builtin()["xrd"], 16, 4, 12, 0.0).eval()
    latent = torch.randn(2, 4)
    torch.testing.assert_close(decoder(latent, slice(3, None, 5)), decoder(latent)[:, 3::5])


def test_an_unknown_composition_says_nothing() -> None:
    torch.manual_seed(7)
    network = CrossModalVAE(builtin(), hidden=16, latent=4, decoder_lines=8, dropout=0.0).eval()
    composition = torch.rand(3, len(ELEMENTS))
    composition[1] = 0.0
    alone = network.posterior("raman", *spectra("raman"))
    told = network.posterior("raman", *spectra("raman"), composition)
    assert torch.equal(told.mean[1], alone.mean[1])
    assert torch.equal(told.log_variance[1], alone.log_variance[1])
    assert (told.log_variance[0] < alone.log_variance[0]).all()


def test_background_bumps_sum_to_one() -> None:
    bumps = raised_cosines(torch.linspace(400, 1800, 701), 8)
    torch.testing.assert_close(bumps.sum(0), torch.ones(701))


def test_product_of_experts_against_the_normal_distribution() -> None:
    torch.manual_seed(3)
    experts = [Gaussian(torch.randn(2, 3), torch.randn(2, 3)) for _ in range(2)]
    found = product_of_experts(experts)
    x = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    normal = torch.distributions.Normal
    for i in range(2):
        for j in range(3):
            log = normal(0.0, 1.0).log_prob(x)
            for e in experts:
                log = log + normal(e.mean[i, j].double(), torch.exp(0.5 * e.log_variance[i, j]).double()).log_prob(x)
            density = torch.softmax(log, 0)
            mean = (density * x).sum()
            assert float(found.mean[i, j]) == pytest.approx(float(mean), abs=1e-4)
            assert float(found.log_variance[i, j].exp()) == pytest.approx(
                float((density * (x - mean) ** 2).sum()), rel=1e-3
            )


def test_divergence_against_torch() -> None:
    torch.manual_seed(4)
    g = Gaussian(torch.randn(5, 3), torch.randn(5, 3))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(g.mean, torch.exp(0.5 * g.log_variance)), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(g.divergence(), expected)
    assert (g.divergence() >= 0).all()


def test_reconstruction_loss_is_zero_only_for_the_same_spectrum_where_measured() -> None:
    values = torch.rand(2, 40)
    valid = torch.ones(2, 40)
    valid[:, 30:] = 0
    other = values.clone()
    other[:, 30:] = 9.0
    torch.testing.assert_close(reconstruction_loss(other, values, valid), torch.zeros(2), atol=1e-4, rtol=0)
    r = np.corrcoef(values[0, :30], values[1, :30])[0, 1]
    square = float(((values[0, :30] - values[1, :30]) ** 2).mean())
    found = reconstruction_loss(values[:1], values[1:], valid[:1])
    assert float(found) == pytest.approx(1 - r + 20 * square, rel=1e-4)


def test_alignment_prefers_pairs_that_belong_together() -> None:
    torch.manual_seed(5)
    one = torch.randn(16, 8)
    assert alignment_loss(one, one + 0.01 * torch.randn(16, 8)) < 0.2 < alignment_loss(one, one.roll(1, 0))


def test_any_modality_decodes_any_other() -> None:
    modalities = builtin()
    network = CrossModalVAE(modalities, hidden=16, latent=4, decoder_lines=8, dropout=0.0).eval()
    for source in modalities:
        posterior = network.posterior(source, *spectra(source))
        for target, modality in modalities.items():
            assert network.decode(target, posterior.mean).shape == (3, modality.grid.points)


def test_augmentation_keeps_what_a_spectrum_is() -> None:
    modality = builtin()["raman"]
    axis = torch.as_tensor(modality.grid.axis(), dtype=torch.float32)
    values = torch.exp(-((axis - 600) ** 2) / 200).repeat(50, 1)
    lines = torch.full((50, 2, 4), torch.nan)
    lines[:, 0] = torch.tensor([600.0, 1.0, 20.0, 0.5])
    valid = torch.ones_like(values)
    new, seen, moved = augment(values, valid, lines, modality, 1.0, torch.Generator().manual_seed(0))
    assert not torch.equal(new, values)
    assert (new * (1 - seen) == 0).all()
    assert torch.isfinite(new).all()
    top = axis[new.argmax(1)]
    assert (top - 600).abs().max() < 20
    assert (top - moved[:, 0, 0]).abs().max() < 8  # the fitted line moves with the grid
    assert moved[:, 1].isnan().all()
    again = augment(values, valid, lines, modality, 1.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(again[0], new)
    assert augment(values, valid, lines, modality, 0.0, torch.Generator())[0] is values


def test_mixed_precision_does_not_coarsen_what_an_encoder_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SpectrumEncoder(builtin()["raman"], 16, 4, 0.0).eval()
    looked_at: list[torch.Tensor] = []
    views = encoder._views

    def watched(values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        looked_at.extend(views(values))
        return tuple(looked_at[-3:])

    monkeypatch.setattr(encoder, "_views", watched)
    asked = spectra("raman")
    plain, _ = encoder(*asked)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = encoder(*asked)
    for one, other in zip(looked_at[:3], looked_at[3:], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    torch.testing.assert_close(plain, mixed.float(), rtol=0, atol=0.05)
