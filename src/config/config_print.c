#include "config/config.h"
#include "config/text.h"

#include <inttypes.h>
#include <string.h>

void config_describe_values(const KeyInfo *info, char text[CONFIG_VALUES]) {
    const char *automatic = info->may_be_auto ? "auto, " : "";
    char least[TEXT_REAL], most[TEXT_REAL], name[32];
    size_t length = 0;
    switch (info->type) {
    case KEY_INT:
        if (info->most_int == INT64_MAX)
            snprintf(text, CONFIG_VALUES, "%sinteger from %" PRId64, automatic, info->least_int);
        else
            snprintf(text, CONFIG_VALUES, "%sinteger %" PRId64 " to %" PRId64, automatic, info->least_int,
                     info->most_int);
        return;
    case KEY_REAL:
        text_write_real(info->least_real, least);
        text_write_real(info->most_real, most);
        snprintf(text, CONFIG_VALUES, "%sreal %s to %s", automatic, least, most);
        return;
    case KEY_CHOICE:
        for (int i = 0; length < CONFIG_VALUES && text_word(info->choices, i, name, sizeof name); i++)
            length += (size_t)snprintf(text + length, CONFIG_VALUES - length, "%s%s", i ? " | " : "", name);
        return;
    case KEY_TEXT:
        snprintf(text, CONFIG_VALUES, "text");
        return;
    }
}

void config_describe_section(const Config *config, const char *section, char *text, size_t size) {
    Config defaults;
    size_t length = 0;
    config_default(&defaults);
    *text = 0;
    for (int key = -1; (key = config_next_difference(&defaults, config, key)) >= 0 && length < size;) {
        const KeyInfo *info = config_key(key);
        char value[CONFIG_TEXT];
        if (strcmp(info->section, section) != 0) continue;
        config_get_text(config, key, value, sizeof value);
        length += (size_t)snprintf(text + length, size - length, "%s%s %s", length ? ", " : "",
                                   strchr(info->name, '.') + 1, value);
    }
}

static const char *change_name(KeyChange change) {
    return change == CHANGE_FIXED ? "fixed" : change == CHANGE_EPOCH ? "epoch" : "free";
}

void config_print_keys(FILE *file) {
    Config defaults;
    config_default(&defaults);
    fprintf(file, "%-23s%-9s%-42s%s\n", "KEY", "DEFAULT", "VALUES", "CHANGE");
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const KeyInfo *info = config_key(key);
        char value[CONFIG_TEXT], values[CONFIG_VALUES];
        config_get_text(&defaults, key, value, sizeof value);
        config_describe_values(info, values);
        fprintf(file, "%-22s %-8s %-41s %s\n    %s\n", info->name, *value ? value : "\"\"", values,
                change_name(info->change), info->help);
    }
    fputs("\nCHANGE tells when a key may change on a resumed run: free at any time, epoch\n"
          "between two epochs, fixed never. A file gives keys as YAML, nested\n"
          "(train: {lr: 0.001}) or dotted (train.lr: 0.001); --set train.lr=0.001 on the\n"
          "command line wins over it.\n",
          file);
}
