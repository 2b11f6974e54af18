#include "config/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LONGEST = 64 };

static int least(int a, int b) { return a < b ? a : b; }

static bool same_letter(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

/* Insertions, deletions, replacements and swaps of neighbours that turn one text into the other, letters of either case
 * being the same (Damerau 1964, in the restricted form). Both are shorter than LONGEST. */
static int edit_distance(const char *a, const char *b) {
    int rows[3][LONGEST + 1];
    int *before_last = rows[0], *last = rows[1], *row = rows[2];
    int columns = (int)strlen(b);
    for (int j = 0; j <= columns; j++) last[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (int j = 1; j <= columns; j++) {
            row[j] = least(last[j - 1] + !same_letter(a[i - 1], b[j - 1]), least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]))
                row[j] = least(row[j], before_last[j - 2] + 1);
        }
        int *spare = before_last;
        before_last = last;
        last = row;
        row = spare;
    }
    return last[columns];
}

Nearest nearest_begin(const char *wanted) {
    /* half of it right is a slip; more wrong than that is another word */
    int length = (int)strnlen(wanted, LONGEST);
    return (Nearest){.wanted = wanted, .distance = length < 3 ? length : least(2 + length / 4, (length + 1) / 2 + 1)};
}

void nearest_offer(Nearest *nearest, const char *candidate) {
    if (strlen(nearest->wanted) >= LONGEST || strlen(candidate) >= LONGEST) return;
    const char *dot = strrchr(candidate, '.');
    /* fingers seldom miss the first letter: `gpu` was not meant to be `cpu` */
    int distance = edit_distance(nearest->wanted, candidate) + !same_letter(nearest->wanted[0], candidate[0]);
    if (dot && strcasecmp(dot + 1, nearest->wanted) == 0) distance = 0; /* "lr" for "train.lr" */
    if (distance >= nearest->distance) return;
    nearest->distance = distance;
    nearest->name = candidate;
}

NearestHint nearest_hint(const Nearest *nearest) {
    NearestHint hint = {""};
    if (nearest->name) snprintf(hint.text, sizeof hint.text, "; did you mean '%s'?", nearest->name);
    return hint;
}
