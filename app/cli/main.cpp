#include "app/cli/command.h"

int main(int argc, char** argv) { return dhsa::cli::run_command(argc, argv); }
