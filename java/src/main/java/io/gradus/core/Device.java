package io.gradus.core;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * Where a tensor lives and its operations run: a type such as {@code cpu} or {@code cuda} and a
 * number among the devices of that type. Only {@link #best()} chooses; every other way of naming a
 * device gives exactly that one or fails with the reason.
 *
 * @param type lower-case type
 * @param index number among the devices of the type, from 0
 */
public record Device(String type, int index) {

  /**
   * The processor; always usable. Its SIMD plug-in computes where that loads, plain Java where it
   * does not or where the system property {@code gradus.cpu} is {@code reference}; {@code gradus
   * devices} says which.
   */
  public static Device cpu() {
    return Holder.CPU;
  }

  /** The processor in plain Java: what every other device is held against. Always usable. */
  public static Device reference() {
    return Holder.REFERENCE;
  }

  /**
   * An NVIDIA GPU.
   *
   * @throws DeviceException when it cannot be used, with the reason and the remedy
   */
  public static Device cuda(int index) {
    return of("cuda", index);
  }

  /**
   * The CUDA kernels run on the processor, for tests: exact in what it checks, and slow.
   *
   * @throws DeviceException when the build has no emulator, with the remedy
   */
  public static Device emulated() {
    return of("emulated", 0);
  }

  /**
   * The device of a type and number.
   *
   * @throws DeviceException when there is none or it cannot be used, with the reason
   */
  public static Device of(String type, int index) {
    Device wanted = new Device(type, index);
    DeviceInfo sibling = null;
    for (DeviceInfo info : all(type)) {
      if (info.device().equals(wanted)) {
        String problem = info.problem();
        if (problem != null) {
          throw new DeviceException("[device] " + wanted + " cannot be used: " + problem);
        }
        return info.device();
      }
      sibling = info.device().type().equals(type) ? info : sibling;
    }
    if (sibling != null && !sibling.usable()) {
      // A type without devices is listed as one that says why there is none.
      throw new DeviceException("[device] " + wanted + " cannot be used: " + sibling.problem());
    }
    List<String> usable = new ArrayList<>();
    for (DeviceInfo info : all()) {
      if (info.usable()) {
        usable.add(info.device().toString());
      }
    }
    throw new DeviceException(
        "[device] this build knows no device " + wanted + "; usable are " + usable);
  }

  /**
   * The device named by text: {@code auto} for {@link #best()}, a type ({@code cpu}) or a type with
   * a number ({@code cuda:1}).
   *
   * @throws DeviceException when there is none or it cannot be used, with the reason
   */
  public static Device parse(String text) {
    if (text.equals("auto")) {
      return choose().device();
    }
    int colon = text.indexOf(':');
    try {
      return colon < 0
          ? of(text, 0)
          : of(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
    } catch (NumberFormatException e) {
      throw new DeviceException(
          "[device] cannot read '" + text + "': write auto, cpu, or a type and a number as cuda:0");
    }
  }

  /** The device of {@link #choose()}; what was chosen and why is logged, once, at level INFO. */
  public static Device best() {
    Choice choice = choose();
    Choice before = Holder.SAID.getAndSet(choice);
    if (!choice.equals(before)) {
      System.getLogger(Device.class.getName()).log(System.Logger.Level.INFO, "[device] " + choice);
    }
    return choice.device();
  }

  /**
   * What {@link #best()} chooses and why.
   *
   * @param device the usable device of the highest rank
   * @param reason why it is not another one, for people
   */
  public record Choice(Device device, String reason) {
    @Override
    public String toString() {
      return device + " (" + reason + ")";
    }
  }

  /** Chooses the usable device of the highest rank. */
  public static Choice choose() {
    List<DeviceInfo> ranked = new ArrayList<>(all());
    ranked.sort(Comparator.comparingInt(DeviceInfo::rank).reversed());
    StringBuilder passed = new StringBuilder();
    for (DeviceInfo info : ranked) {
      if (info.usable()) {
        return new Choice(
            info.device(), passed.length() == 0 ? info.description() : passed.toString());
      }
      passed
          .append(passed.length() == 0 ? "" : "; ")
          .append(info.device())
          .append(" cannot be used: ")
          .append(info.problem());
    }
    throw new DeviceException("[device] no backend is on the class path");
  }

  /** Every device the backends on the class path know, usable or not. */
  public static List<DeviceInfo> all() {
    return all(null);
  }

  private static List<DeviceInfo> all(@Nullable String type) {
    Map<Device, DeviceInfo> out = new LinkedHashMap<>();
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      if (type == null || provider.knows(type)) {
        provider.devices().forEach(info -> out.merge(info.device(), info, DeviceInfo::better));
      }
    }
    return List.copyOf(out.values());
  }

  /** The type, and the number where it is not 0 or the type can have several devices. */
  @Override
  public String toString() {
    return equals(Holder.CPU) || equals(Holder.REFERENCE) ? type : type + ":" + index;
  }

  private static final class Holder {
    static final Device CPU = new Device("cpu", 0);
    static final Device REFERENCE = new Device("reference", 0);
    static final AtomicReference<@Nullable Choice> SAID = new AtomicReference<>();
  }
}
