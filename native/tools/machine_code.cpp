// Counts instructions in the machine code of kernels, and checks the counts.
//
//   machine_code CUBIN...                 prints them
//   machine_code --expect FILE CUBIN...   prints what is not as the file expects; exit status 1 where something is not
//   machine_code --cubins OBJECT...       the cubins that compile.sh keeps beside objects, with or without --expect FILE
//
// A cubin is an ELF file with a section .text.SYMBOL for each kernel. From Volta on an instruction has 16 bytes; bits 0 to 8 say
// which one it is, bits 9 to 11 what kind its operands are of, bits 73 to 75 how much an access to memory moves. NVIDIA documents
// none of it: the codes here were read off kernels made from known PTX, and the test `machine_code_probe` compiles such kernels and
// counts again.
// Source: the ELF-64 object file format; Jia, Maggioni, Staiger, Scarpazza: Dissecting the NVIDIA Volta GPU Architecture via
// Microbenchmarking (2018), section 2.1, for the format of instructions.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>

#include "kernels.h"

namespace {

struct Instruction {
  const char* name;
  int code;
  int size = -1;  // of a memory access; -1: any
};
constexpr int kSixteenBytes = 6;
const Instruction kInstructions[] = {
    {"HMMA", 0x03C},    // mma.sync of 16-bit types and tf32
    {"HGMMA", 0x1F0},   // wgmma of the same
    {"UTMALDG", 0x1B4},  // cp.async.bulk.tensor from global memory
    {"UTMASTG", 0x1B5},  // and to it
    {"USETMAXREG", 0x1C8},  // setmaxnreg
    {"STSM", 0x044},    // stmatrix
    {"LDGSTS", 0x1AE},  // cp.async
    {"LDSM", 0x03B},    // ldmatrix
    {"FFMA", 0x023},    // fma of float32
    {"LDG128", 0x181, kSixteenBytes},  // loads of 16 bytes from global memory
    {"STG128", 0x186, kSixteenBytes},  // and stores
    {"LDL", 0x183},     // local memory: spilled registers and arrays with indices unknown to the compiler
    {"STL", 0x187},
};

struct Kernel {
  std::string name;
  std::string file;
  int64_t instructions = 0;
  std::map<std::string, int64_t> counts;
};

template <class T>
T at(const std::string& file, size_t offset) {
  T value{};
  if (offset + sizeof(T) <= file.size()) memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

// Adds the kernels of a cubin; false if it is none.
bool read_cubin(const std::string& path, std::vector<Kernel>* kernels) {
  std::string file;
  if (!tools::read_file(path, &file) || file.compare(0, 5, "\x7F" "ELF\x02") != 0) return false;
  auto headers = size_t(at<uint64_t>(file, 0x28));
  size_t size = at<uint16_t>(file, 0x3A), count = at<uint16_t>(file, 0x3C), names = at<uint16_t>(file, 0x3E);
  auto offset_of = [&](size_t section) { return size_t(at<uint64_t>(file, headers + section * size + 0x18)); };
  auto bytes_of = [&](size_t section) { return size_t(at<uint64_t>(file, headers + section * size + 0x20)); };
  for (size_t i = 0; i < count; i++) {
    size_t name_at = offset_of(names) + at<uint32_t>(file, headers + i * size);
    if (name_at >= file.size()) return false;
    std::string name(file.c_str() + name_at);
    if (name.compare(0, 6, ".text.") != 0) continue;
    Kernel kernel;
    kernel.name = tools::kernel_name(name.substr(6));
    kernel.file = path.substr(path.rfind('/') + 1);
    for (size_t j = 0; j + 16 <= bytes_of(i); j += 16) {
      int code = at<uint16_t>(file, offset_of(i) + j) & 0x1FF, access = at<uint16_t>(file, offset_of(i) + j + 9) >> 1 & 7;
      kernel.instructions++;
      for (const Instruction& known : kInstructions) {
        if (code == known.code && (known.size < 0 || access == known.size)) kernel.counts[known.name]++;
      }
    }
    kernels->push_back(std::move(kernel));
  }
  return true;
}

void print(const Kernel& kernel) {
  printf("%s %6lld instructions", kernel.file.c_str(), static_cast<long long>(kernel.instructions));
  for (const Instruction& known : kInstructions) {
    auto found = kernel.counts.find(known.name);
    printf(" %6s %4lld", known.name, found == kernel.counts.end() ? 0LL : static_cast<long long>(found->second));
  }
  printf("  %s\n", kernel.name.c_str());
}

// Rules as native/cuda/machine-code.txt explains them. The number of those that are broken.
int check(const std::string& path, const std::vector<Kernel>& kernels) {
  int broken = 0, rules = 0;
  std::string group;
  for (const std::string& line : tools::rules(path)) {
    if (line[0] == '[') {
      group = line.substr(1, line.find(']') - 1);
      continue;
    }
    char instruction[16] = "", bound[16] = "";
    int pattern_at = 0;
    if (sscanf(line.c_str(), "%15s %15s %n", instruction, bound, &pattern_at) != 2 || pattern_at == 0) {
      printf("error: %s: not a rule: %s\n", path.c_str(), line.c_str());
      return 1;
    }
    bool known = std::any_of(std::begin(kInstructions), std::end(kInstructions), [&](auto& i) { return strcmp(i.name, instruction) == 0; });
    if (!known) {
      printf("error: %s: %s is not an instruction that is counted\n", path.c_str(), instruction);
      return 1;
    }
    bool forbidden = strcmp(bound, "none") == 0;
    long minimum = forbidden ? 0 : strtol(bound, nullptr, 10);
    std::regex pattern(line.substr(size_t(pattern_at)), std::regex::optimize);
    bool compiled = false, matched = false;
    rules++;
    for (const Kernel& kernel : kernels) {
      if (kernel.file.compare(0, group.size(), group) != 0) continue;
      compiled = true;
      if (!std::regex_search(kernel.name, pattern)) continue;
      matched = true;
      auto found = kernel.counts.find(instruction);
      int64_t n = found == kernel.counts.end() ? 0 : found->second;
      if (forbidden ? n > 0 : n < minimum) {
        printf("error: %s: %s has %lld %s; %s expects %s\n", kernel.file.c_str(), kernel.name.c_str(), static_cast<long long>(n), instruction,
               path.substr(path.rfind('/') + 1).c_str(), forbidden ? "none" : bound);
        broken++;
      }
    }
    // A rule about kernels that are gone, or renamed, would guard nothing. Of groups that were not compiled nothing is asked.
    if (compiled && !matched) {
      printf("error: no kernel of %s* matches the rule: %s\n", group.c_str(), line.c_str());
      broken++;
    }
  }
  printf("%d rules, %zu kernels, %d broken\n", rules, kernels.size(), broken);
  return broken;
}

// The cubins beside an object: OBJECT.cubins/NAME.cubin, listed in OBJECT.cubins/list.
bool cubins_of(const std::string& object, std::vector<std::string>* files) {
  if (object.find(".cu.o") == std::string::npos) return true;
  std::ifstream list(object + ".cubins/list");
  bool any = false;
  for (std::string name; std::getline(list, name); any = true) files->push_back(object + ".cubins/" + name);
  if (!any) printf("error: %s has no cubins beside it; remove it and build again, without a compiler cache\n", object.c_str());
  return any;
}

}  // namespace

int main(int argc, char** argv) {
  std::string expectations;
  std::vector<std::string> files;
  bool objects = false;
  int bad = 0;
  for (int i = 1; i < argc; i++) {
    std::string argument = argv[i];
    if (argument == "--expect" && i + 1 < argc) {
      expectations = argv[++i];
    } else if (argument == "--cubins") {
      objects = true;
    } else if (objects) {
      bad += cubins_of(argument, &files) ? 0 : 1;
    } else {
      files.push_back(argument);
    }
  }
  std::vector<Kernel> kernels;
  for (const std::string& file : files) {
    if (read_cubin(file, &kernels)) continue;
    printf("error: %s is not a cubin\n", file.c_str());
    bad++;
  }
  if (kernels.empty()) {
    printf("error: no kernels\n");
    return 1;
  }
  if (expectations.empty()) {
    for (const Kernel& kernel : kernels) print(kernel);
  } else if (tools::rules(expectations).empty()) {
    printf("error: %s has no rules\n", expectations.c_str());
    bad++;
  } else {
    bad += check(expectations, kernels);
  }
  return bad == 0 ? 0 : 1;
}
