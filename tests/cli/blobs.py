"""blobs.py FOLDER TRAIN TEST: a small IDX data set that can be learned: 12 x 12 pixels of noise, with a bright square at
a place that belongs to the class, five classes."""
import struct
import sys

import numpy as np

SIDE, SQUARE, CLASSES = 12, 4, 5
PLACES = [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)]


def write(folder, name, count, random):
    labels = random.integers(0, CLASSES, count).astype(np.uint8)
    labels[:CLASSES] = np.arange(CLASSES)
    images = random.integers(0, 100, (count, SIDE, SIDE))
    for image, label in zip(images, labels):
        row, column = PLACES[label]
        image[row:row + SQUARE, column:column + SQUARE] += 100
    with open(f"{folder}/{name}-images-idx3-ubyte", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, count, SIDE, SIDE) + images.astype(np.uint8).tobytes())
    with open(f"{folder}/{name}-labels-idx1-ubyte", "wb") as file:
        file.write(struct.pack(">II", 0x801, count) + labels.tobytes())


generator = np.random.default_rng(5)
write(sys.argv[1], "train", int(sys.argv[2]), generator)
write(sys.argv[1], "t10k", int(sys.argv[3]), generator)
