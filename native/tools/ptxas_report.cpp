// Gathers what ptxas said about each kernel into a table, and checks it.
//
//   ptxas_report HOT_KERNELS REPORT OBJECT...
//
// Reads OBJECT.ptxas of each CUDA object, as compile.sh keeps it, and writes REPORT: registers, stack, spills and shared memory per
// kernel and architecture. Exit status 1 if a kernel named by HOT_KERNELS spills, or if ptxas warns of lost performance.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <sstream>
#include <tuple>

#include "kernels.h"

namespace {

// What ptxas calls information and is the loss of most of a kernel's speed.
const char* const kLosses[][2] = {
    {"C7508", "setmaxnreg is ignored: the kernel needs __launch_bounds__ with a minimum of blocks"},
    {"C7510", "wgmma is serialised"},
    {"C7511", "wgmma is serialised"},
    {"C7515", "wgmma is serialised"},
    {"C7602", "too few registers"},
    {"Potential Performance Loss", "ptxas warns of lost performance"},  // those without a line above
};

struct Entry {
  std::string kernel, architecture;
  long registers = 0, stack = 0, spill_stores = 0, spill_loads = 0, shared = 0, barriers = 0;
};

std::string quoted(const std::string& line, size_t from = 0) {
  size_t first = line.find('\'', from), last = line.find('\'', first + 1);
  return first == std::string::npos || last == std::string::npos ? "" : line.substr(first + 1, last - first - 1);
}

// The number before a phrase: 48 of "Used 48 registers, 512 bytes smem" before " registers".
long number_before(const std::string& line, const char* phrase) {
  size_t end = line.find(phrase);
  if (end == std::string::npos) return 0;
  size_t start = end;
  while (start > 0 && line[start - 1] >= '0' && line[start - 1] <= '9') start--;
  return start == end ? 0 : std::stol(line.substr(start, end - start));
}

// Which kernels are hot: named by a rule, and not taken back by one that starts with an exclamation mark.
class HotKernels {
 public:
  explicit HotKernels(const std::string& path) {
    for (const std::string& rule : tools::rules(path)) {
      bool except = rule[0] == '!';
      (except ? except_ : hot_).emplace_back(rule.substr(except ? 1 : 0), std::regex::optimize);
    }
  }
  bool empty() const { return hot_.empty(); }
  bool contains(const std::string& kernel) const { return any(hot_, kernel) && !any(except_, kernel); }

 private:
  static bool any(const std::vector<std::regex>& patterns, const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::regex& p) { return std::regex_search(name, p); });
  }
  std::vector<std::regex> hot_, except_;
};

// Adds a log's kernels. A spill of a function that a kernel calls counts as the kernel's.
void read_log(const std::string& log, std::vector<Entry>* entries, std::vector<std::string>* errors) {
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    for (auto& [code, meaning] : kLosses) {
      if (line.find(code) == std::string::npos) continue;
      size_t named = line.find("function '");
      std::string kernel = named != std::string::npos ? tools::kernel_name(quoted(line, named)) : entries->empty() ? "?" : entries->back().kernel;
      errors->push_back(kernel + ": " + meaning + " (" + line + ")");
      break;
    }
    if (line.find("Compiling entry function") != std::string::npos) {
      Entry entry;
      size_t symbol = line.find('\'');
      entry.kernel = tools::kernel_name(quoted(line));
      entry.architecture = quoted(line, line.find('\'', symbol + 1) + 1);
      entries->push_back(entry);
    } else if (!entries->empty() && line.find("bytes stack frame") != std::string::npos) {
      Entry& e = entries->back();
      e.stack = std::max(e.stack, number_before(line, " bytes stack frame"));
      e.spill_stores += number_before(line, " bytes spill stores");
      e.spill_loads += number_before(line, " bytes spill loads");
    } else if (!entries->empty() && line.find(": Used ") != std::string::npos) {
      Entry& e = entries->back();
      e.registers = number_before(line, " registers");
      e.barriers = number_before(line, " barriers");
      e.shared = number_before(line, " bytes smem");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    printf("usage: ptxas_report HOT_KERNELS REPORT OBJECT...\n");
    return 2;
  }
  HotKernels hot(argv[1]);
  std::vector<Entry> entries;
  std::vector<std::string> errors;
  if (hot.empty()) errors.push_back(std::string(argv[1]) + " names no kernel");
  for (int i = 3; i < argc; i++) {
    if (std::string(argv[i]).find(".cu.o") == std::string::npos) continue;
    std::string log;
    if (tools::read_file(std::string(argv[i]) + ".ptxas", &log)) {
      read_log(log, &entries, &errors);
    } else {
      errors.push_back(std::string(argv[i]) + " has no .ptxas beside it; remove it and build again");
    }
  }
  if (entries.empty()) errors.push_back("ptxas reported no kernel");
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::make_tuple(a.kernel, a.architecture.size(), a.architecture) < std::make_tuple(b.kernel, b.architecture.size(), b.architecture);
  });
  FILE* report = fopen(argv[2], "w");
  if (report == nullptr) {
    printf("error: cannot write %s\n", argv[2]);
    return 1;
  }
  fprintf(report, "%-8s %9s %6s %12s %11s %13s %8s %4s  kernel\n", "target", "registers", "stack", "spill stores", "spill loads",
          "static shared", "barriers", "hot");
  long spilled = 0;
  for (const Entry& e : entries) {
    bool is_hot = hot.contains(e.kernel);
    fprintf(report, "%-8s %9ld %6ld %12ld %11ld %13ld %8ld %4s  %s\n", e.architecture.c_str(), e.registers, e.stack, e.spill_stores,
            e.spill_loads, e.shared, e.barriers, is_hot ? "hot" : "", e.kernel.c_str());
    if (e.spill_stores == 0 && e.spill_loads == 0) continue;
    spilled++;
    if (!is_hot) continue;
    errors.push_back(e.kernel + " spills on " + e.architecture + ": " + std::to_string(e.spill_stores) + " bytes of stores, " +
                     std::to_string(e.spill_loads) + " of loads, at " + std::to_string(e.registers) + " registers");
  }
  fclose(report);
  for (const std::string& error : errors) printf("error: %s\n", error.c_str());
  printf("ptxas: %zu kernels, %ld with spills, %zu errors; see %s\n", entries.size(), spilled, errors.size(), argv[2]);
  return errors.empty() ? 0 : 1;
}
