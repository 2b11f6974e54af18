#!/usr/bin/env bash
# browser.sh RAM_DIST: the report of a real run in a real browser, headless Chromium. Where there is none, exit code 77:
# skipped.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/../cli/checks.bash"
for program in chromium chromedriver; do
    command -v $program >/dev/null || { echo "SKIPPED: no $program (jobs/install.sh --tests installs it)" && exit 77; }
done
blobs data 600 203
small_model
export RAM_DATA=$work/data HOME=$work # Chromium keeps its profile there
settings=(--config small.yaml --set trace.every=1 --set trace.count=20)
run 0 "${settings[@]}" --set seed=7 --run-dir one
run 0 "${settings[@]}" --set seed=2 --set model.scales=2 --run-dir '<i>two & "more"'
run 0 trace one
run 0 trace '<i>two & "more"' --rollouts 3 --limit 20
run 0 report one
run 0 report '<i>two & "more"' one --output both.html
timeout -k 5 200 "$python" "${here%/cli}/view/browser.py" one both.html '<i>two & "more"' >out 2>err ||
    fail "browser.py"
tail -n 3 out
finish
