"""Gradients with respect to images: saliency, adversarial steps, activation maps, style by Gram matrices, filters."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

rng = np.random.default_rng(70)
labels = torch.from_numpy(np.arange(80) % 2)
i, j = np.indices((10, 10))
patterns = np.stack([np.sin(1.5 * i), np.sin(1.5 * j)])
images = torch.tensor(0.5 + 0.2 * patterns[labels.numpy()][:, None] + rng.normal(scale=0.1, size=(80, 1, 10, 10)))
images = images.float().clamp(0, 1)
model = nn.Sequential(
    nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2)
)
with torch.no_grad():
    for p in model.parameters():
        p.copy_(torch.tensor(rng.normal(scale=0.2, size=p.shape)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(15):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
for p in model.parameters():
    p.requires_grad_(False)
model.eval()


def fgsm_attack(image, epsilon, data_grad):
    sign_data_grad = data_grad.sign()
    return torch.clamp(image + epsilon * sign_data_grad, 0, 1)


accuracies, examples = [], []
for epsilon in [0, 0.1, 0.3]:
    data = images.clone()
    data.requires_grad = True
    output = model(data)
    init_pred = output.max(1, keepdim=True)[1]
    loss = F.nll_loss(F.log_softmax(output, dim=1), labels)
    model.zero_grad()
    loss.backward()
    perturbed = fgsm_attack(data, epsilon, data.grad.data)
    final_pred = model(perturbed).max(1, keepdim=True)[1]
    accuracies.append((final_pred.squeeze() == labels).sum().item() / len(labels))
    examples.append(((init_pred != final_pred).sum().item(), perturbed.detach()[0, 0, 0]))
    print(f"Epsilon: {epsilon}\tTest Accuracy = {accuracies[-1]}")

# Saliency: the largest derivative of the right score over the channels.
X = images[:4].requires_grad_()
scores = model(X).gather(1, labels[:4].view(-1, 1)).squeeze()
scores.backward(torch.ones(4))
saliency, _ = X.grad.abs().max(dim=1)

# Class activation by hooks on the last convolution.
kept = {}
forward = model[2].register_forward_hook(lambda m, args, out: kept.update(features=out))
x = images[:1].detach().clone().requires_grad_(True)
score = model(x)[0, 1]
(gradient,) = torch.autograd.grad(score, kept["features"])
weights = gradient.mean(dim=(2, 3), keepdim=True)
cam = F.relu((weights * kept["features"]).sum(1, keepdim=True))
cam = F.interpolate(cam, size=(10, 10), mode="bilinear", align_corners=False).detach()
forward.remove()


# Style: an image whose features have another's correlations.
def gram_matrix(input):
    a, b, c, d = input.size()
    features = input.view(a * b, c * d)
    return torch.mm(features, features.t()).div(a * b * c * d)


def total_variation(image):
    return (image[..., 1:] - image[..., :-1]).abs().mean() + (image[..., 1:, :] - image[..., :-1, :]).pow(2).mean()


style, content = images[1:2].detach(), images[0:1].detach()
target_gram, target_content = gram_matrix(model[:2](style)).detach(), model[:4](content).detach()
input_img = torch.from_numpy(rng.uniform(size=(1, 1, 10, 10)).astype(np.float32)).requires_grad_(True)
painter = torch.optim.Adam([input_img], lr=0.05)
losses = []
for _ in range(40):
    painter.zero_grad()
    with torch.no_grad():
        input_img.clamp_(0, 1)
    style_loss = F.mse_loss(gram_matrix(model[:2](input_img)), target_gram)
    content_loss = F.mse_loss(model[:4](input_img), target_content)
    loss = 50 * style_loss + content_loss + 0.1 * total_variation(input_img)
    loss.backward()
    painter.step()
    losses.append([style_loss.item(), content_loss.item(), loss.item()])

# Convolution as a matrix product of patches; a blur, an edge, a pyramid.
kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).div(16).view(1, 1, 3, 3)
blurred = F.conv2d(content, kernel, padding=1)
patches = F.unfold(content, kernel_size=3, padding=1)
by_patches = (kernel.view(1, -1) @ patches).view(1, 1, 10, 10)
edges = F.conv2d(content, torch.tensor([[[[-1.0, 0, 1]]]]), padding="same")
pyramid = [
    F.avg_pool2d(content, 2),
    F.interpolate(content, scale_factor=0.5),
    nn.Upsample(scale_factor=2)(content)[..., :3, :3],
]
flipped = [content.flip(-1), torch.rot90(content, 1, (2, 3)), content.roll(shifts=(1, 2), dims=(2, 3))]
padded = [
    F.pad(content, (1, 2, 0, 1)),
    F.pad(content, (1, 1, 1, 1), mode="reflect"),
    F.pad(content, (2, 0), value=-1.0),
]

results = {
    "accuracies": accuracies,
    "examples": [list(e) for e in examples],
    "saliency": saliency,
    "activation": cam,
    "losses": losses,
    "image": input_img.detach(),
    "blurred": blurred,
    "by patches": by_patches,
    "edges": edges,
    "pyramid": pyramid,
    "flipped": flipped,
    "padded": padded,
    "no gradient": [p.grad is None or not p.requires_grad for p in model.parameters()],
}


def goal():
    assert accuracies[0] > 0.9 > accuracies[-1] and losses[-1][2] < losses[0][2] / 2
    assert torch.allclose(blurred, by_patches, atol=1e-6) and cam.min() >= 0
