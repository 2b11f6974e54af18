# Writes OUTPUT: the bytes of SOURCE as `static const char NAME[]`, ended by 0. Run at build time.
file(READ ${SOURCE} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n    " bytes "${bytes}")
file(WRITE ${OUTPUT} "static const char ${NAME}[] = {\n    ${bytes}0};\n")
