"""A small U-Net finds shapes pixel by pixel: down, up, skip connections, cross-entropy with ignored pixels, Dice."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

rng = np.random.default_rng(91)
VOID = 255


class Shapes(Dataset):
    """Boxes (1) and diamonds (2) in noise; the rim of the picture is void."""

    def __init__(self, n):
        self.images, self.masks = [], []
        i, j = np.indices((16, 16))
        for _ in range(n):
            mask = np.zeros((16, 16), np.int64)
            r, c = rng.integers(2, 6, 2)
            mask[r : r + 5, c : c + 4] = 1
            mask[np.abs(i - rng.integers(10, 13)) + np.abs(j - rng.integers(9, 13)) < 4] = 2
            image = mask * 0.5 + rng.normal(scale=0.15, size=mask.shape)
            mask[0] = mask[:, 0] = VOID
            self.images.append(torch.tensor(image, dtype=torch.float32)[None])
            self.masks.append(torch.from_numpy(mask))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, k):
        return self.images[k], self.masks[k]


class DoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(2, out_channels),
            nn.SiLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.InstanceNorm2d(out_channels, affine=True),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels, bilinear):
        super().__init__()
        if bilinear:
            smooth = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.up = nn.Sequential(smooth, nn.Conv2d(in_channels, in_channels // 2, 1))
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
        self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        diffY, diffX = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, n_channels=1, n_classes=3, width=6):
        super().__init__()
        self.inc = DoubleConv(n_channels, width)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(width, 2 * width))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(2 * width, 4 * width))
        self.up1, self.up2 = Up(4 * width, 2 * width, bilinear=False), Up(2 * width, width, bilinear=True)
        self.outc = nn.Conv2d(width, n_classes, 1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x = self.up1(self.down2(x2), x2)
        return self.outc(self.up2(x, x1))


def dice(logits, target):
    keep = (target != VOID).unsqueeze(1)
    probs = logits.softmax(1) * keep
    one_hot = F.one_hot(target.masked_fill(target == VOID, 0), 3).permute(0, 3, 1, 2).float() * keep
    inter = (probs * one_hot).sum(dim=(0, 2, 3))
    return 1 - ((2 * inter + 1e-6) / (probs.sum((0, 2, 3)) + one_hot.sum((0, 2, 3)) + 1e-6)).mean()


def iou(pred, target):
    valid = target != VOID
    return torch.stack(
        [((pred == k) & (target == k)).sum() / ((((pred == k) | (target == k)) & valid).sum()) for k in range(3)]
    )


def no_weight_decay(model):
    decay, rest = [], []
    for m in model.modules():
        for name, p in m.named_parameters(recurse=False):
            (decay if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) and name == "weight" else rest).append(p)
    return [{"params": decay}, {"params": rest, "weight_decay": 0.0}]


data = ConcatDataset([Shapes(24), Shapes(24)])
train_loader = DataLoader(Subset(data, range(40)), batch_size=8)
val_x, val_y = next(iter(DataLoader(Subset(data, range(40, 48)), batch_size=8)))
model = UNet()
with torch.no_grad():
    for p in model.parameters():
        if p.dim() == 4:
            p.copy_(torch.tensor(rng.normal(scale=(2 / p[0].numel()) ** 0.5, size=p.shape)))
model.outc.bias.data.zero_()
for up in (model.up1.up, model.up2.up[1]):
    nn.init.zeros_(up.bias)
optimizer = torch.optim.AdamW(no_weight_decay(model), lr=0.01, weight_decay=0.05)
criterion = nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 1.0]), ignore_index=VOID)

# Gradients of two batches are added up before a step.
history = []
for _ in range(3):
    optimizer.zero_grad()
    for k, (x, y) in enumerate(train_loader):
        logits = model(x)
        loss = (criterion(logits, y) + dice(logits, y)) / 2
        loss.backward()
        if (k + 1) % 2 == 0 or k + 1 == len(train_loader):
            optimizer.step()
            optimizer.zero_grad()
        history.append(loss.item())

model.eval()
with torch.no_grad():
    logits = model(val_x)
pred = logits.argmax(dim=1)
valid = val_y != VOID
accuracy = (pred[valid] == val_y[valid]).float().mean()
print(f"pixel accuracy {accuracy:.3f}, IoU {iou(pred, val_y)}")

results = {
    "history": history,
    "logits": logits[:2],
    "accuracy": accuracy,
    "IoU": iou(pred, val_y),
    "dice": dice(logits, val_y),
    "per pixel": F.cross_entropy(logits, val_y, ignore_index=VOID, reduction="none")[0],
    "groups": [len(g["params"]) for g in optimizer.param_groups],
    "decay": [g["weight_decay"] for g in optimizer.param_groups],
    "model": str(model),
    "odd": model(val_x[:1, :, :15, :13])[0, 0],
}


def goal():
    assert np.mean(history[-5:]) < np.mean(history[:5]) * 0.7 and accuracy > 0.8
    assert results["per pixel"][0].abs().sum() == 0
