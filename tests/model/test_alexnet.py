from __future__ import annotations

import torch
import torchvision

from overread.model.alexnet import AlexNet


def test_it_computes_what_torchvision_s_computes_by_parts() -> None:
    network = AlexNet(3).eval()
    published = torchvision.models.AlexNet(num_classes=3).eval()
    published.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        maps = network.forward_features(images)
        hidden = network.forward_head(maps, pre_logits=True)
        expected = published(images)
        assert torch.equal(network.forward_head(maps), expected)
        assert torch.equal(network.get_classifier()(hidden), expected)
    assert hidden.shape == (2, network.num_features)
