#!/usr/bin/env bash
# view.sh RAM_DIST: report, plot and watch of a real run: boxes to the pixel, every kind of picture, a run that is still
# going, several at once, names that would be markup, and what is said of damaged or missing files.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/../cli/checks.bash"
looks=${here%/cli}/view
look() { "$python" "$looks/look.py" "$@" >"$work/out" 2>&1 || fail "look.py $*"; }
blobs data 600 203
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set model.scales=3 --set model.sigma=2 --set model.glimpses=4 --set train.epochs=3
    --set trace.every=1 --set trace.count=20)
run 0 "${settings[@]}" --run-dir one
run 0 trace one
quiet
trace=$(echo one/traces/test-*)

# Pictures of each kind.
for what in glimpses retina curves confusion heatmap; do
    for kind in svg png gif; do
        run 0 plot one --what $what --output "$what.$kind"
        quiet
        says out "picture: $what.$kind"
    done
    "$python" -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' $what.svg || fail "$what.svg is no XML"
    lacks $what.svg "http://www.w3.org/1999"
    says $what.svg 'role="img" aria-label="'
    "$python" - $what.png $what.gif <<'PYTHON' || fail "$what.png or $what.gif"
import sys
from PIL import Image
png, gif = (Image.open(path) for path in sys.argv[1:])
assert png.format == "PNG" and gif.format == "GIF" and png.size == (2 * gif.size[0], 2 * gif.size[1]), (png.size, gif.size)
assert len(set(png.getdata())) > 5 and len(set(gif.convert("RGB").getdata())) > 5
assert gif.n_frames == (4 if "glimpses" in sys.argv[2] else 1), gif.n_frames
PYTHON
done

# Boxes of every scale, at the corners of the pictures.
look corners "$trace"
chosen=$(cat out)
run 0 plot "$trace" --what glimpses --images "$chosen" --output boxes.svg
run 0 plot "$trace/index.h5" --what glimpses --images "$chosen" --output boxes.png
run 0 plot one --what glimpses --images "$chosen" --output boxes.gif
# shellcheck disable=SC2086 # words
look boxes "$trace" boxes.svg boxes.png boxes.gif ${chosen//,/ }
says out "60 boxes"
run 0 plot one --what retina --images "${chosen%%,*}" --output retina.svg
look retina "$trace" retina.svg data "${chosen%%,*}"
look digits "$trace" glimpses.svg
look heat "$trace" heatmap.svg

# A larger canvas, one scale and several roll-outs; the pictures are those of the task.
run 0 "${settings[@]}" --set model.scales=1 --set data.task=cluttered --set data.canvas=30 --run-dir canvas
run 0 trace canvas --rollouts 3 --limit 9
for kind in svg png gif; do run 0 plot canvas --what glimpses --output canvas.$kind; done
# The line above is not cut off.
run 0 plot canvas --what glimpses --images 0,1 --output narrow.png
run 0 plot canvas --what retina --images 0 --output retina.png
"$python" - <<'PYTHON' >out 2>&1 || fail "the line above the pictures reaches their edge"
import numpy as np
from PIL import Image
for path in ("narrow.png", "retina.png"):
    line = np.array(Image.open(path).convert("L")).astype(int)[40:72]  # two pixels a unit
    inked = np.flatnonzero((abs(line - line[0, 0]) > 40).any(axis=0))
    assert len(inked) and line.shape[1] // 2 < inked[-1] < line.shape[1] - 10, (path, inked[-1], line.shape)
PYTHON
look boxes canvas/traces/test-* canvas.svg canvas.png canvas.gif 0 1 2 3 4 5 6 7 8
look digits canvas/traces/test-* canvas.svg

# Of many glimpses some have a heat map, and it says how many.
run 0 --config small.yaml --set train.epochs=1 --set model.glimpses=17 --run-dir many
run 0 trace many --limit 5
run 0 plot many --what heatmap --output many.svg
says many.svg "Where glimpses go, 15 of 17 glimpses</text>"
lacks heatmap.svg " of 4 glimpses</text>"

# Of many classes there are no bars, nor words of them, and labels with long numbers keep apart.
says glimpses.svg "Bars: class probabilities"
run 0 --config small.yaml --set train.epochs=1 --set data.classes=120 --run-dir classes
run 0 trace classes --limit 4
run 0 plot classes --what glimpses --output classes.svg
run 0 report classes
lacks classes.svg "Bars:"
lacks classes.svg "class probabilities"
lacks classes/report.html "bars"
"$python" - <<'PYTHON' >out 2>&1 || fail "labels of neighbours touch"
import re
places = [float(x) for x in re.findall(r'<text x="([\d.]+)"[^>]*>label \d', open("classes.svg").read())]
apart = max(places) - min(places)
assert len(set(places)) == 2 and apart >= 200, places  # "label 119, says 118 (100 %)  wrong" has 195 units
PYTHON

# The report: one file, smaller than 3 MB, the same without MPI; several runs.
run 0 report one
says out "report: one/report.html"
quiet
lacks one/report.html "http://"
says one/report.html '<th scope="row">Time of training steps</th>'
says one/report.html '<td>total loss '
lacks one/report.html "https://"
[ "$(wc -c <one/report.html)" -lt 3000000 ] || fail "the report is too large"
run 0 report one canvas --output both.html
says both.html "Path of the first of 3 roll-outs. So are the bars; what the model says is the mean of all."
lacks one/report.html "Path of the first"
for text in "Glimpses of one" "Glimpses of canvas" "canvas, validation"; do says both.html "$text"; done
run 0 report one --images 0,100,202 --output three.html
run 0 report one one one one one one one one --images "$(seq -s, 0 63)" --output eight.html
says eight.html "more pictures are left out"
"$python" - <<'PYTHON' || fail "two of eight runs have the same ink and dash"
import re
legend = re.search(r'aria-label="Loss: .*?</svg>', open("eight.html").read(), re.S).group()
lines = re.findall(r'<polyline points="[^"]*"( stroke-width="2"[^>]*)/>', legend)
assert len(lines) == len(set(lines)) == 16, lines
dashes = [re.findall(r'dasharray="([^"]*)"', line) for line in lines]
assert [dashes[i] == dashes[0] for i in range(0, 16, 2)] == 4 * [True] + 4 * [False], dashes
PYTHON
[ "$(wc -c <eight.html)" -lt 3000000 ] || fail "eight runs make a report that is too large"
for sample in 0 100 202; do says three.html "<figcaption>sample $sample</figcaption>"; done

# Where it ran: from the checkpoint; a damaged one is not this command's business.
run 0 --config small.yaml --set train.epochs=1 --np 2 --run-dir plain
rmdir plain/traces
run 0 report plain
says plain/report.html '<th scope="row">Ranks</th><td>2</td>'
says plain/report.html '<th scope="row">Computed by</th><td>LIBXSMM'
says plain/report.html '<th scope="row">Device of a rank</th><td>cpu, '
"$python" -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(100); f.write(b"?")' plain/checkpoints/latest/index.h5
run 0 report plain
lacks plain/report.html 'Ranks</th>'

# Names are text, whatever stands in them.
evil='<img src=x onerror=alert(1)>&"'\'
cp -r one "$evil"
run 0 report "$evil" one --output evil.html
lacks evil.html '<img'
says evil.html '<h1>&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;, one</h1>'
cp -r one $'broken\xff\x1b[31m'
run 0 report $'broken\xff\x1b[31m' one --output evil.html
"$python" -c 'open("evil.html", encoding="utf-8").read()' || fail "a broken name makes a broken page"
run 0 watch $'broken\xff\x1b[31m'
lacks out $'\x1b'
mkdir $'red\xc2\x9b31m' # the same in one letter
run 65 watch $'red\xc2\x9b31m' --once
lacks err $'\xc2\x9b'
cp one/*.* $'red\xc2\x9b31m'
run 0 watch $'red\xc2\x9b31m' --once
lacks out $'\xc2\x9b'

# A run that is still going: no epoch yet, half a line, no trace.
mkdir -p going && cp one/config.yaml going
run 0 report going
says going/report.html "No epoch is complete yet"
run 0 watch going --once
says out "no epoch is complete yet"
head -n 3 one/metrics.jsonl >going/metrics.jsonl
printf '{"kind":"epo' >>going/metrics.jsonl
run 0 report going
says going/report.html "Not finished: 2 epochs so far, of 3."
says going/report.html "No trace has been recorded"
run 0 plot going --what curves --output going.svg
sed -i 's/^  reward: correct$/  reward: log_likelihood/' going/config.yaml # not what evaluations call a reward
run 0 plot going --what curves --output likely.svg
[ "$(grep -o '>validation<' going.svg | wc -l) $(grep -o '>validation<' likely.svg | wc -l)" = "3 2" ] ||
    fail "two kinds of reward in one chart"
run 0 watch going
says out "after epoch 2 of 3"
says out "to go"
run 0 watch one --once
says out "finished after epoch 3"
says out "$("$python" -c 'import json
row = [json.loads(line) for line in open("one/metrics.jsonl") if "\"test\"" in line and "\"sample\"" in line][-1]
print("%.2f %% error (95 %%: %.2f to %.2f)" % (row["error"], row["low"], row["high"]))')"
refuses 65 "there is no trace in going" plot going --what heatmap --output x.png
timeout 20 script -qec "'$ram_dist' watch one" /dev/null >out 2>err </dev/null || fail "watch in a terminal did not end"
says out $'\x1b[2J'


# Runs of one name are told apart by the folders above, in the legend as well; the same one twice is one.
long=$(printf 'a-long-name-%.0s' 1 2 3 4 5)
mkdir -p here there "seed-1/$long" "seed-2/$long"
for folder in here there "seed-1/$long" "seed-2/$long"; do cp -r one "$folder/run"; done
run 0 report here/run there/run one canvas one --output names.html
says names.html "<h1>here/run, there/run, one, canvas, one</h1>"
says names.html ">there/run, validation</text>"
run 0 report here/run "seed-1/$long/run" "seed-2/$long/run" --output names.html
says names.html "<h1>here/run, seed-1/$long/run, seed-2/$long/run</h1>"
says names.html ">seed-2/a...a-long-name-a-long-name-/run</text>"

# Pictured is a trace of the run's own policy, also where a newer or larger one is there of another.
cp -r one traced
run 0 trace traced --set eval.policy=random --name zz-random
run 0 trace traced --limit 20 --name zz-few
run 0 report traced
says traced/report.html '<th scope="row">Pictured trace</th><td>test-step-'
says traced/report.html '<p class="muted">test-step-'
says traced/report.html ': 203 test images, policy sample, 1 roll-out of 4 glimpses, step '
sed -i 's/^  policy: sample$/  policy: random/' traced/config.yaml
run 0 report traced
says traced/report.html '<p class="muted">zz-random: 203 test images, policy random,'

# Nor of another configuration or a checkpoint that the run has not, while there is one of its own; else it is told.
cp -r one others
run 0 trace others --name zz-two --set model.glimpses=2 --set data.task=translated --set data.canvas=28
run 0 report others
says others/report.html '<p class="muted">test-step-'
lacks others/report.html "of another configuration"
rm -r others/traces/test-*
run 0 report others
says others/report.html "This trace is of another configuration: data.task is translated here (mnist in the run), data.canvas is"
says others/report.html "model.glimpses is 2 here (4 in the run).</p>"
run 0 plot others --what heatmap --output others.png
says err "zz-two: This trace is of another configuration: data.task is translated here (mnist in the run), "
cp -r one left
first=$(basename "$(readlink -f left/checkpoints/best)")
run 0 report left
lacks left/report.html "the run has no longer"
mv "left/checkpoints/$first" "left/checkpoints/.bad-$first"
run 0 report left
says left/report.html "This trace is of a checkpoint that the run has no longer."

# What a user calls epoch-N, or traces under the name of a probe, is no probe.
cp -r one named
run 0 trace named --name epoch-test --split train --limit 30
run 0 trace named --output named/traces --name epoch-0007
run 0 report named
"$python" - <<'PYTHON' >out 2>&1 || fail "traces that are no probes count as some"
import re
maps = [re.search(r"How the policy changed.*", open(f"{run}/report.html").read(), re.S).group() for run in ("one", "named")]
epochs = [re.findall(r">epoch (\d+)", text) for text in maps]
assert epochs[0] == epochs[1] and len(epochs[0]) >= 4, epochs
PYTHON

# Where a run goes on and measures something else, the best is the best of that, and the table has one model's figures.
run 0 --config small.yaml --set train.epochs=6 --run-dir anew
run 0 --run-dir anew --resume auto --set train.epochs=8 --set eval.policy=center
says anew/metrics.jsonl '{"kind":"measured_anew","step":'
"$python" - <<'PYTHON' >expected || fail "the rows of a run that measures anew"
import json
rows = [json.loads(line) for line in open("anew/metrics.jsonl")]
at = [row["kind"] for row in rows].index("measured_anew")
after = [row for row in rows[at:] if row.get("split") == "validation"]
assert [row["epoch"] for row in after] == [7, 8] and {row["policy"] for row in after} == {"center"}, after
before = min(row["error"] for row in rows[:at] if row.get("split") == "validation")
best = min(after, key=lambda row: row["error"])
assert best["error"] > before, (best, before)  # or this shows nothing
print("%.2f %% after epoch %d" % (best["error"], best["epoch"]))
PYTHON
run 0 report anew
says anew/report.html "<th scope=\"row\">Best validation error</th><td>$(cat expected)"
says anew/report.html '<th scope="row">Test error, centre alone</th>'
lacks anew/report.html '<th scope="row">Test error</th>'
run 0 watch anew
says out "best validation  $(sed 's/ after.*//' expected)"
run 0 --run-dir anew --resume auto --set train.epochs=9
[ "$(grep -c measured_anew anew/metrics.jsonl)" -eq 1 ] || fail "the same measured anew twice"

# The result is of the policy that the run measures with; the others come after it.
run 0 "${settings[@]}" --set eval.policy=mean --run-dir mean
"$python" - <<'PYTHON' || fail "rows of the test set"
import json
rows = [json.loads(line) for line in open("mean/metrics.jsonl")]
tests = [row for row in rows if row.get("split") == "test"]
assert [row["policy"] for row in tests] == ["mean", "random", "center"], tests
for row, error in zip(tests, (12.25, 23.5, 34.75)):
    row["error"] = error
open("mean/metrics.jsonl", "w").write("".join(json.dumps(row) + "\n" for row in rows))
PYTHON
run 0 report mean
says mean/report.html "<p class=\"lead\">12.25 % error on the test set"
run 0 watch mean
says out "test             12.25 % error"

# A run that goes on is not finished, nor one that has not measured all policies; one that stops early is.
cp -r one more
sed -i 's/^  epochs: 3$/  epochs: 4/' more/config.yaml
run 0 watch more
says out "after epoch 3 of 4"
lacks out "finished"
run 0 report more --output more.html
says more.html "Not finished: 3 epochs so far, of 4."
sed -i 's/^  patience: 0$/  patience: 1/' more/config.yaml
run 0 watch more
says out "finished after epoch 3"
for lines in 1 2; do
    head -n -$lines one/metrics.jsonl >more/metrics.jsonl
    run 0 watch more
    lacks out "finished"
done
rm more/config.yaml
cp one/metrics.jsonl more/metrics.jsonl
run 0 watch more
says out "finished after epoch 3"

# It fits the terminal: nothing scrolls away. Curves are named, lower ones come first, then fewer of them.
says out "Classification error, error (%): training, validation"
for size in "24 80 2" "40 120 2" "19 80 2" "18 80 1" "10 80 0" "19 40 1" "17 40 0"; do
    read -r lines columns charts <<<"$size"
    timeout 20 script -qec "stty rows $lines columns $columns; '$ram_dist' watch one" /dev/null >out 2>err </dev/null ||
        fail "watch in a terminal of $lines x $columns"
    "$python" - "$@" <<PYTHON || fail "watch does not fit $lines x $columns"
text = open("out", encoding="utf-8").read().split("\x1b[2J")[-1].replace("\r", "").split("\n")
used = sum(max(1, -(-len(line) // $columns)) for line in text)
assert used <= $lines and sum("  epoch " in line and "step" not in line for line in text) == $charts, (used, text)
assert text[0].startswith("one: finished"), text[0]
PYTHON
done

# Without the images all but pictures is there, and the page says why.
run 0 report one --set "data.dir=$work/nowhere" --output bare.html
says bare.html "No pictures of digits: "
says bare.html "$work/nowhere"
says bare.html "Confusion matrix"
blobs other 500 100
refuses 65 "are not those that" plot one --what glimpses --set "data.dir=$work/other" --output x.png
refuses 64 "no file train-images" plot one --what glimpses --set "data.dir=$work/nowhere" --output x.png

# A damaged trace is named and passed over, or refused where it was asked for.
cp -r one hurt
for file in "$trace"/shard-* "$trace/index.h5" "$trace/MANIFEST"; do
    at=hurt/${file#one/}
    cp "$at" kept
    "$python" -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(100); f.write(b"?")' "$at"
    run 0 report hurt
    says err "passed over: $at is damaged"
    says hurt/report.html "<p class=\"note\">1 trace passed over: $at is damaged"
    says hurt/report.html '<p class="muted">epoch-0003: 20 validation images'
    run 0 plot hurt --what heatmap --output passed.png
    refuses 65 "$at" plot "${at%/*}" --what heatmap --output x.png
    rm "$at"
    run 0 report hurt
    says err "passed over: "
    says err "$at"
    mv kept "$at"
done
for file in hurt/traces/*/MANIFEST; do echo more >>"$file"; done
run 0 report hurt
says hurt/report.html "<p class=\"note\">5 traces passed over: "
says hurt/report.html "No trace has been recorded"
code=0
"$ram_dist" plot hurt --what heatmap --output x.png >out 2>err || code=$?
[ $code -eq 65 ] || fail "exit code $code of a plot without a good trace"
says err "there is no trace in hurt"
cp one/metrics.jsonl hurt/metrics.jsonl
for line in 'not json' '[1]' '{"no":"kind"}' '{"kind":"epoch","epoch":1}' '{"kind":"eval","split":"test"}'; do
    { head -n 2 one/metrics.jsonl && echo "$line"; } >hurt/metrics.jsonl
    refuses 65 "hurt/metrics.jsonl:3" report hurt
    refuses 65 "hurt/metrics.jsonl:3" watch hurt
done
{ cat one/metrics.jsonl && echo '{"kind":"of a later version"}'; } >hurt/metrics.jsonl
run 0 report hurt
[ ! -e x.png ] || fail "a refused picture was written"

# --run-dir stands for an operand that is not there.
run 0 report --run-dir one --output other.html
says other.html "<h1>one</h1>"
run 0 watch --set run.dir=one
says out "one: finished"
run 0 plot --run-dir one --what curves --output other.svg

# Wrong arguments.
refuses 65 "there is no run in nothing" watch --run-dir nothing
for command in report plot watch; do refuses 64 "unknown option '--device'" $command one --device cpu; done
for what in curves confusion heatmap; do
    refuses 64 "--what $what shows none" plot one --what $what --images 1 --output x.png
done
refuses 64 "report needs" report
refuses 65 "there is no run in nothing" report nothing
refuses 65 "there is no run in data" watch data
refuses 65 "there is no run in one/metrics.jsonl" report one/metrics.jsonl
refuses 64 "more than 8 of RUN" report 1 2 3 4 5 6 7 8 9
refuses 64 "watch needs" watch
refuses 64 "plot needs the path" plot
refuses 64 "plot needs --what" plot one --output x.png
refuses 64 "plot needs --output" plot one --what curves
refuses 64 "--what is 'curve'" plot one --what curve --output x.png
refuses 64 "does not end with" plot one --what curves --output x.jpg
refuses 64 "curves are of a run" plot "$trace" --what curves --output x.png
refuses 65 "no checkpoint, trace or run" plot nothing --what curves --output x.png
refuses 65 "is a checkpoint and no trace" plot one/checkpoints/best --what heatmap --output x.png
refuses 64 "has samples 0 to 202" plot one --what glimpses --images 3,203 --output x.png
refuses 64 "has samples 0 to 202" report one --images 203
for images in "" "," "1," ",1" -1 one 1.5 "1,,2" 99999999999999999999999; do
    refuses 64 "--images is" report one --images="$images"
done
refuses 64 "more than 64" plot one --what glimpses --images "$(seq -s, 0 64)" --output x.png
mkfifo pipe.png
refuses 74 "pipe.png is there and is no regular file" plot one --what curves --output pipe.png
mkdir page.html
refuses 74 "page.html is there and is no regular file" report one --output page.html
refuses 74 "cannot create nowhere/" plot one --what curves --output nowhere/x.png
refuses 74 "cannot create nowhere/" report one --output nowhere/x.html
finish
