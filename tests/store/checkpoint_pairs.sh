#!/bin/sh
# checkpoint_pairs.sh STORE_CASE MPIRUN FOLDER: a set saved on 1, 2, 3 and 4 ranks is read back, bit for bit, on 1, 2, 3
# and 4; then each index.h5 is opened by h5py as if it were one file.
set -eu
case=$1 mpirun=$2 folder=$3
rm -rf "$folder" && mkdir -p "$folder"
for saved in 1 2 3 4; do
    "$mpirun" $saved "$case" save "$folder/on$saved" 17724 11
done
for loaded in 1 2 3 4; do
    for saved in 1 2 3 4; do
        found=$("$mpirun" $loaded "$case" load "$folder/on$saved" latest 11) ||
            { echo "saved on $saved, not the same on $loaded"; exit 1; }
        [ "$found" = 11 ]
    done
done
cd / # the index must find its shards from anywhere
for saved in 1 2 3 4; do
    /usr/bin/python3 "$(dirname "$0")/read_with_h5py.py" "$folder/on$saved/latest/index.h5" $saved
done
# moved as a whole, it still is one
mv "$folder/on4/step-00017724" "$folder/elsewhere"
/usr/bin/python3 "$(dirname "$0")/read_with_h5py.py" "$folder/elsewhere/index.h5" 4
# the listing is the table of contents
h5ls -r "$folder/elsewhere/index.h5" > "$folder/listing"
grep -q '^/adam/m/rnn.i2h.weight  *Dataset {7, 5}$' "$folder/listing"
grep -q '^/param/locator.fc.bias  *Dataset {2}$' "$folder/listing"
grep -q '^/provenance  *Group$' "$folder/listing"
echo "all pairs agree"
