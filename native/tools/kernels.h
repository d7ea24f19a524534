// What the checks of compiled kernels share: names as people write them, and data files of one rule a line.
#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

namespace tools {

inline void erase_all(std::string& text, const std::string& what) {
  for (size_t at; (at = text.find(what)) != std::string::npos;) text.erase(at, what.size());
}

// unary_kernel<float> for the symbol of void gradus::(anonymous namespace)::unary_kernel<float>(float const*, float*, long).
inline std::string kernel_name(const std::string& symbol) {
  int status = 0;
  char* demangled = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  std::string name = status == 0 ? demangled : symbol;
  std::free(demangled);
  erase_all(name, "(anonymous namespace)::");
  erase_all(name, "gradus::");
  // What is left of a demangled name ends with its parameters, in parentheses that may hold others.
  if (status == 0 && !name.empty() && name.back() == ')') {
    int depth = 0;
    size_t at = name.size();
    do {
      at--;
      depth += name[at] == ')' ? 1 : name[at] == '(' ? -1 : 0;
    } while (at > 0 && depth > 0);
    name.resize(at);
  }
  if (name.compare(0, 5, "void ") == 0) name.erase(0, 5);
  return name;
}

// The lines of a file that are neither empty nor comments.
inline std::vector<std::string> rules(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> out;
  for (std::string line; std::getline(file, line);) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty() && line[0] != '#') out.push_back(line);
  }
  return out;
}

inline bool read_file(const std::string& path, std::string* contents) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  contents->assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  return true;
}

inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace tools
