package io.gradus.cli;

import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** Lists the devices. */
@Command(name = "devices", description = "Lists every device, or the reason why it cannot be used.")
final class DevicesCommand implements Runnable {
  @Mixin private Common common = new Common();

  @Override
  public void run() {
    common.open();
    List<DeviceInfo> devices = Device.all();
    Device.Choice best = Device.choose();
    for (DeviceInfo info : devices) {
      String problem = info.problem();
      common
          .out()
          .println(
              info.device()
                  + "  "
                  + info.description()
                  + (problem == null ? "" : "  cannot be used: " + problem)
                  + (info.device().equals(best.device()) ? "  (chosen by --device auto)" : ""));
    }
  }
}
