# sweep_table.awk: from the metrics.jsonl of runs NAME-seed-N the table of jobs/sweep.slurm: mean and sample standard
# deviation of the error on the test set and of the best validation error, per variant NAME. -v names: the variants of the
# sweep, separated by blanks; -v planned: how many runs it has.
function number(key) { return match($0, "\"" key "\":[-0-9.e+]+") ? substr($0, RSTART + length(key) + 3, RLENGTH) + 0 : "" }
function variant_of(path) { sub(/\/metrics\.jsonl$/, "", path); sub(/.*\//, "", path); sub(/-seed-[0-9]+$/, "", path); return path }
/"kind":"epoch"/ { tested[FILENAME] = 0 }
/"kind":"measured_anew"/ { delete best[FILENAME] }
/"split":"validation"/ { if (!(FILENAME in best) || number("error") < best[FILENAME]) best[FILENAME] = number("error") }
/"split":"test"/ && !tested[FILENAME] { # the first of the three: the learned policy
    tested[FILENAME] = 1
    test[FILENAME] = number("error")
}
function entry(sum, squares, n) {
    if (n == 0) return "-"
    if (n == 1) return sprintf("%.3f         ", sum)
    squares = (squares - sum * sum / n) / (n - 1)
    return sprintf("%.3f +- %5.3f", sum / n, sqrt(squares > 0 ? squares : 0))
}
END {
    for (file in tested) {
        if (!tested[file]) continue
        variant = variant_of(file)
        ended++
        runs[variant]++
        sum[variant] += test[file]
        squares[variant] += test[file] * test[file]
        validation[variant] += best[file]
        validation_squares[variant] += best[file] * best[file]
    }
    printf "%d of %d runs have ended; errors in percent, mean and standard deviation over seeds\n", ended, planned
    printf "%-24s %6s %18s %18s\n", "variant", "seeds", "test", "best validation"
    variants = split(names, name, " ")
    for (i = 1; i <= variants; i++) {
        v = name[i]
        n = runs[v] + 0
        printf "%-24s %6d %18s %18s\n", v, n, entry(sum[v], squares[v], n), entry(validation[v], validation_squares[v], n)
    }
}
