// cp.async: the data are taken at the issue, and land at the wait that asks for them.

#include <algorithm>
#include <cstring>

#include "emulator/team.h"

namespace gradus::emulator {

void cp_async_issue(void* destination, const void* data, size_t bytes) {
  Quiet quiet;
  Landing copy{destination, {}, unsigned(bytes)};
  memcpy(copy.data, data, bytes);
  self().copies.push_back(copy);
  current_team->counts.async_copies++;
}

void cp_async_commit() {
  Quiet quiet;
  self().copy_groups.push_back(self().copies.size());
}

const Landing* cp_async_land(unsigned pending) {
  Quiet quiet;
  CudaThread& me = self();
  size_t groups = me.copy_groups.size();
  size_t due = groups > pending ? me.copy_groups[groups - pending - 1] : 0;
  if (me.copies_landed < due) return &me.copies[me.copies_landed++];
  if (me.copies_landed == me.copies.size() && pending == 0) {  // nothing in flight: forget the history
    me.copies.clear();
    me.copy_groups.clear();
    me.copies_landed = 0;
  } else if (me.copies_landed > 4096) {
    me.copies.erase(me.copies.begin(), me.copies.begin() + long(me.copies_landed));
    for (size_t& group : me.copy_groups) group -= std::min(group, me.copies_landed);
    me.copies_landed = 0;
  }
  return nullptr;
}

}  // namespace gradus::emulator
