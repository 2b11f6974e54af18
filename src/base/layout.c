#include "base/layout.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

int layout_add(Layout *layout, const char *name, int64_t rows, int64_t columns) {
    require(layout->fields < LAYOUT_FIELDS && strlen(name) < LAYOUT_NAME && rows > 0 && columns >= 0);
    Field *field = &layout->field[layout->fields];
    snprintf(field->name, sizeof field->name, "%s", name);
    field->dimensions = columns ? 2 : 1;
    field->shape[0] = rows;
    field->shape[1] = columns ? columns : 1;
    field->offset = layout->total;
    field->count = (size_t)(field->shape[0] * field->shape[1]);
    layout->total += (field->count + LAYOUT_ALIGN - 1) / LAYOUT_ALIGN * LAYOUT_ALIGN;
    return layout->fields++;
}

int layout_find(const Layout *layout, const char *name) {
    for (int i = 0; i < layout->fields; i++)
        if (strcmp(layout->field[i].name, name) == 0) return i;
    return -1;
}

size_t layout_elements(const Layout *layout) {
    size_t count = 0;
    for (int i = 0; i < layout->fields; i++) count += layout->field[i].count;
    return count;
}
