cmake_minimum_required(VERSION 3.22)
# Writes the git revision to OUTPUT (REVISION "abc1234" or "abc1234+changes"); the file changes only when it does.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty=+changes --exclude=*
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
if(failed)
  set(revision "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define RAM_REVISION \"@revision@\"\n" @ONLY)
