/** What is used here of the browser's BatteryManager, which Chromium alone has, and for https alone. */
export interface Battery {
  readonly charging: boolean;
  /** From 0 to 1. */
  readonly level: number;
  addEventListener(type: 'chargingchange' | 'levelchange', listener: () => void): void;
}

/** Below this a battery is left to its owner. */
const LOW_BATTERY_LEVEL = 0.2;

/** Whether computing would take what the owner needs. */
export const isBatteryLow = ({ charging, level }: Pick<Battery, 'charging' | 'level'>): boolean =>
  !charging && level < LOW_BATTERY_LEVEL;

/**
 * Calls back when the battery becomes low, and when it is so no more; at once if it is low already. Once for each change,
 * so that a person who goes on regardless is not stopped again.
 */
export function watchBattery(battery: Battery, onChange: (low: boolean) => void): void {
  let low = false;
  const look = (): void => {
    if (isBatteryLow(battery) === low) return;
    low = !low;
    onChange(low);
  };
  battery.addEventListener('chargingchange', look);
  battery.addEventListener('levelchange', look);
  look();
}
