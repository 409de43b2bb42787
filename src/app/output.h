// Standard output, where results go and nothing else.
#pragma once

#include <string>
#include <string_view>

namespace sputnik {

// Thrown when nobody reads standard output any more (`sputnik ... | head`): the program then ends quietly.
struct OutputClosed {};

// Buffered; throws OutputClosed, or Error (failure) when the bytes cannot be written, as on a full disk.
void Print(std::string_view text);
void FlushOutput();

bool OutputIsTerminal();
bool OutputHasColor();  // a terminal, and neither NO_COLOR nor TERM=dumb asks for none

// Text from a model or a file as a terminal may safely show it: broken UTF-8 becomes U+FFFD, and control characters
// other than line breaks and tabs are left out.
std::string PlainText(std::string_view text);

}  // namespace sputnik
