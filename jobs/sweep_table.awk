# sweep_table.awk: from the metrics.jsonl of runs NAME-seed-N the table of jobs/sweep.slurm: mean and sample standard
# deviation of the error on the test set and of the best validation error, per variant NAME.
function number(key) { return match($0, "\"" key "\":[-0-9.e+]+") ? substr($0, RSTART + length(key) + 3, RLENGTH) + 0 : "" }
function variant_of(path) { sub(/\/metrics\.jsonl$/, "", path); sub(/.*\//, "", path); sub(/-seed-[0-9]+$/, "", path); return path }
FNR == 1 { files++ }
FNR == 1 && !(variant_of(FILENAME) in runs) { name[++names] = variant_of(FILENAME); runs[name[names]] = 0 }
/"kind":"epoch"/ { tested[FILENAME] = 0 }
/"split":"validation"/ { if (!(FILENAME in best) || number("error") < best[FILENAME]) best[FILENAME] = number("error") }
/"split":"test"/ && !tested[FILENAME] { # the first of the three: the learned policy
    tested[FILENAME] = 1
    test[FILENAME] = number("error")
}
function deviation(sum, squares, n) {
    squares = n > 1 ? (squares - sum * sum / n) / (n - 1) : 0
    return sqrt(squares > 0 ? squares : 0)
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
    printf "%d of %d runs have ended; errors in percent, mean and standard deviation over seeds\n", ended, files
    printf "%-24s %6s %18s %18s\n", "variant", "seeds", "test", "best validation"
    for (i = 1; i <= names; i++) {
        v = name[i]
        n = runs[v]
        if (n == 0) continue
        printf "%-24s %6d %9.3f +- %5.3f %9.3f +- %5.3f\n", v, n, sum[v] / n, deviation(sum[v], squares[v], n), \
            validation[v] / n, deviation(validation[v], validation_squares[v], n)
    }
}
