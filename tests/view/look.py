"""look.py MODE ...: looks at pictures of glimpses from outside, knowing only the trace and the rule of the retina
(pixel = trunc(0.5 (l + 1) side), patch = [c - s/2, c + s/2)).

  boxes TRACE SVG PNG GIF SAMPLE...   every box of every scale of these samples lies in SVG, PNG and GIF where the trace says,
                                      to the pixel; as many frames as glimpses
  corners TRACE                       the trace has fixations in all four corners and beyond the pictures' edges: prints
                                      the samples that show most of them, separated by commas
  retina TRACE SVG DATA SAMPLE        the patches of every scale are those of the picture
  heat TRACE SVG                      a map for each glimpse: the root of how often its fixations fell on each cell
  digits TRACE SVG                    text and bars: labels, what the model says, how sure it is
"""
import base64
import io
import re
import sys
import xml.etree.ElementTree as ET

import h5py
import numpy as np
from PIL import Image

SVG = "{http://www.w3.org/2000/svg}"
STEPS = [(0x56, 0xB4, 0xE9), (0x6C, 0xBB, 0xD1), (0x82, 0xC2, 0xB9), (0x98, 0xC8, 0xA1), (0xAE, 0xCF, 0x8A),
         (0xC4, 0xD6, 0x72), (0xDA, 0xDD, 0x5A), (0xF0, 0xE4, 0x42)]


class Trace:
    def __init__(self, path):
        with h5py.File(f"{path}/index.h5") as file:
            for name in ("location", "prob", "label", "index"):
                setattr(self, name, file[f"trace/{name}"][()])
            config = file["config"].attrs
            self.patch, self.scales, self.scale = (int(config[f"model.{key}"]) for key in ("patch", "scales", "scale"))
        self.glimpses = self.location.shape[2] - 1

    def windows(self, sample, glimpse, side):
        """(left, top, size) for each scale, by the retina's rule, in float32 as it computes."""
        half, one = np.float32(0.5), np.float32(1)
        x, y = (int(half * (at + one) * np.float32(side)) for at in self.location[sample, 0, glimpse])
        sizes = [self.patch * self.scale**k for k in range(self.scales)]
        return [(x - size // 2, y - size // 2, size) for size in sizes]


def ink(glimpse, glimpses):
    return STEPS[(glimpse * 7 + (glimpses - 1) // 2) // (glimpses - 1)]


def number(element, name):
    return float(element.get(name))


def pixels(element):
    text = element.get("href")
    assert text.startswith("data:image/png;base64,")
    return np.array(Image.open(io.BytesIO(base64.b64decode(text.split(",", 1)[1]))))


def sheets(path):
    """For each picture of the SVG: its sheet, its own place and the step groups over it."""
    found = []
    for sheet in ET.parse(path).getroot().iter(f"{SVG}svg"):
        images = [element for element in sheet if element.tag == f"{SVG}image"]
        if len(images) == 2:
            place = [number(images[1], key) for key in ("x", "y", "width", "height")]
            box = [number(sheet, key) for key in ("x", "y", "width", "height")]
            found.append((box, place, pixels(images[1]), [group for group in sheet if group.tag == f"{SVG}g"]))
    return found


def outer(rect):
    """A stroked rectangle's outer edge."""
    line = number(rect, "stroke-width")
    return [number(rect, "x") - line / 2, number(rect, "y") - line / 2, number(rect, "width") + line,
            number(rect, "height") + line]


def expected_boxes(trace, sample, glimpse, place, side):
    zoom = place[2] / side
    assert zoom == int(zoom), zoom
    return [[place[0] + left * zoom, place[1] + top * zoom, size * zoom, size * zoom]
            for left, top, size in trace.windows(sample, glimpse, side)]


def outline(shape, box, line, scale):
    """Where a frame of `line` units covers the pixels."""
    mask = np.zeros(shape, bool)
    x, y, w, h = (int(round(value * scale)) for value in box)
    line *= scale
    rows, columns = np.ogrid[:shape[0], :shape[1]]
    inside = (columns >= x) & (columns < x + w) & (rows >= y) & (rows < y + h)
    hollow = (columns >= x + line) & (columns < x + w - line) & (rows >= y + line) & (rows < y + h - line)
    mask[inside & ~hollow] = True
    return mask


def check_frame(frame, scale, sheet, boxes, colour, alone, what):
    """The boxes of the newest glimpse are drawn over all else but its own number and mark; where no other glimpse is
    drawn, nothing else has their colour."""
    wanted = np.zeros(frame.shape[:2], bool)
    for k, box in enumerate(boxes):
        wanted |= outline(wanted.shape, box, 2 if k == 0 else 1, scale)
    x, y, w, h = (int(round(value * scale)) for value in sheet)
    region = np.zeros_like(wanted)
    region[y:y + h, x:x + w] = True
    first, last = ([int(round(value * scale)) for value in box] for box in (boxes[0], boxes[-1]))
    for left, top, wide, high in ((last[0], last[1], 9 * scale, 11 * scale),
                                  (first[0] + first[2] // 2 - 5 * scale, first[1] + first[3] // 2 - 5 * scale, 14 * scale,
                                   14 * scale)):
        region[max(0, top):max(0, top + high), max(0, left):max(0, left + wide)] = False
    found = np.all(frame == colour, axis=2)
    assert wanted[region].sum() > 20, what
    missing, extra = (wanted & ~found & region).sum(), (found & ~wanted & region).sum()
    assert missing == 0, f"{what}: {missing} pixels of the boxes are missing"
    if alone:
        assert extra == 0, f"{what}: {extra} pixels have the colour of the boxes, but are none"


def boxes(trace_path, svg, png, gif, *samples):
    trace, samples = Trace(trace_path), [int(sample) for sample in samples]
    found, still, moving = sheets(svg), np.array(Image.open(png).convert("RGB")), Image.open(gif)
    assert len(found) == len(samples) and moving.n_frames == trace.glimpses, (len(found), moving.n_frames)
    root = ET.parse(svg).getroot()
    size = tuple(int(np.ceil(number(root, key))) for key in ("width", "height"))
    assert moving.size == size and still.shape[:2] == (2 * size[1], 2 * size[0]), (moving.size, still.shape, size)
    frames = []
    for i in range(moving.n_frames):
        moving.seek(i)
        frames.append(np.array(moving.convert("RGB")))
    checked = 0
    for sample, (sheet, place, picture, groups) in zip(samples, found):
        side = picture.shape[1]
        assert len(groups) == trace.glimpses
        for t, group in enumerate(groups):
            assert group.get("data-step") == str(t + 1)
            expected = expected_boxes(trace, sample, t, place, side)
            drawn = [outer(rect) for rect in group if rect.tag == f"{SVG}rect" and rect.get("stroke-width")]
            assert np.allclose(drawn[::-1], expected, atol=0.011), (sample, t, drawn, expected)
            check_frame(frames[t], 1, sheet, expected, ink(t, trace.glimpses), t == 0, f"GIF, sample {sample}, {t + 1}")
            checked += len(expected)
        check_frame(still, 2, sheet, expected, ink(t, trace.glimpses), False, f"PNG, sample {sample}")
    assert len({str(frame.tobytes()) for frame in frames}) == len(frames), "frames that do not move"
    print(f"{checked} boxes")


def corners(path):
    trace = Trace(path)
    looked = trace.location[:, 0, :-1]
    for x in (-1, 1):
        for y in (-1, 1):
            assert np.any(np.all(looked == (x, y), axis=2)), f"no fixation at ({x}, {y})"
    score = np.all(np.abs(looked) == 1, axis=2).sum(axis=1)
    print(",".join(str(sample) for sample in np.argsort(-score, kind="stable")[:5]))


def retina(trace_path, svg, data, sample):
    trace, sample = Trace(trace_path), int(sample)
    with open(f"{data}/t10k-images-idx3-ubyte", "rb") as file:
        raw = file.read()
    height, width = (int.from_bytes(raw[at:at + 4], "big") for at in (8, 12))
    image = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, height, width)[trace.index[sample]].astype(float)
    shown = [picture for _, _, picture, _ in sheets(svg)]
    assert len(shown) == trace.glimpses and all(np.array_equal(picture, image) for picture in shown)
    patches = [pixels(element) for element in ET.parse(svg).getroot() if element.tag == f"{SVG}image"]
    assert len(patches) == trace.glimpses * trace.scales
    for t in range(trace.glimpses):
        for k, (left, top, size) in enumerate(trace.windows(sample, t, width)):
            padded = np.full((height + 2 * size, width + 2 * size), 33.0)  # the mean, 0.1307 of 255
            padded[size:size + height, size:size + width] = image
            window = padded[top + size:top + 2 * size, left + size:left + 2 * size]
            pooled = window.reshape(trace.patch, size // trace.patch, trace.patch, -1).mean(axis=(1, 3))
            got = patches[t * trace.scales + k]
            assert got.shape == pooled.shape and np.abs(got - pooled).max() <= 0.51, (t, k, got, pooled)


def heat(trace_path, svg):
    trace = Trace(trace_path)
    maps = [pixels(element) for element in ET.parse(svg).getroot() if element.tag == f"{SVG}image"]
    assert len(maps) == trace.glimpses, len(maps)
    for t, shown in enumerate(maps):
        cell = np.minimum((np.float32(0.5) * (trace.location[:, :, t] + np.float32(1)) * np.float32(28)).astype(int), 27)
        count = np.zeros((28, 28))
        np.add.at(count, (cell[..., 1].ravel(), cell[..., 0].ravel()), 1)
        assert np.abs(shown[..., 3] - 255 * np.sqrt(count / count.max())).max() <= 0.51, t


def digits(trace_path, svg):
    trace, root = Trace(trace_path), ET.parse(svg).getroot()
    groups = [group for group in root if group.tag == f"{SVG}g"]
    labels = [group for group in groups if group.get("class") == "only"]
    for i, group in enumerate(labels):
        sample, t = divmod(i, trace.glimpses)
        assert group.get("data-step") == str(t + 1)
        assert group.get("visibility") == (None if t == trace.glimpses - 1 else "hidden"), (sample, t)
        text = group[0].text
        label, said, sure = (int(part) for part in re.match(r"label (\d+), says (\d+) \((\d+) %\)", text).groups())
        prob = trace.prob[sample, :, t].mean(axis=0)
        assert label == trace.label[sample] and said == prob.argmax() and abs(sure - 100 * prob.max()) <= 0.51, text
        assert text.endswith("wrong") == (label != said), text
    assert len(labels) == min(9, len(trace.label)) * trace.glimpses, len(labels)
    bars = [group for group in groups if group not in labels]
    for i, group in enumerate(bars):
        sample, t = divmod(i, trace.glimpses)
        widths = [number(bar, "width") for bar in group if bar.tag == f"{SVG}rect"]
        shares = [share for share in trace.prob[sample, 0, t] if share >= 0.005]
        assert len(widths) == len(shares), (sample, t)
        ratio = np.array(widths) / shares
        assert np.abs(ratio * shares - ratio.max() * np.array(shares)).max() < 0.3, (sample, t, widths, shares)
    assert len(bars) == len(labels)
    rollouts = trace.prob.shape[1]
    first = f"Path of the first of {rollouts} roll-outs."
    assert sum(first in (text.text or "") for text in root.iter(f"{SVG}text")) == (rollouts > 1), first


if __name__ == "__main__":
    {"boxes": boxes, "corners": corners, "retina": retina, "heat": heat, "digits": digits}[sys.argv[1]](*sys.argv[2:])
