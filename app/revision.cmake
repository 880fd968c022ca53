# Writes OUTPUT, the revision of the sources as a function, when it has changed. Run at every build: SOURCE, OUTPUT.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
"#include \"app/revision.h\"
namespace dhsa {
const char* built_revision() noexcept { return \"@revision@\"; }
}  // namespace dhsa
")
