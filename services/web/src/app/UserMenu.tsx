import { Menu, UnstyledButton, useMantineColorScheme } from "@mantine/core";
import { IconLayoutDashboard, IconLogout, IconSettings } from "@tabler/icons-react";
import { Link } from "wouter";
import { useServices } from "@/context/services";
import classes from "./Navigation.module.css";
import { UserName } from "./UserName";

/** What concerns the user and not a topic; open at first, since it is loaded when somebody wants it. */
export default function UserMenu({ onGo }: { onGo: () => void }) {
  const { session } = useServices();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu defaultOpened position="top-start" width="target" withinPortal>
      <Menu.Target>
        <UnstyledButton className={classes.userButton}>
          <UserName />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component={Link} href="/account" leftSection={<IconSettings size={16} />} onClick={onGo}>
          Account and alerts
        </Menu.Item>
        <Menu.Item component="a" href="/dashboard" leftSection={<IconLayoutDashboard size={16} />}>
          Platform status
        </Menu.Item>
        <Menu.Divider />
        <Menu.Label>Appearance</Menu.Label>
        <Menu.RadioGroup value={colorScheme} onChange={(scheme) => setColorScheme(scheme as "auto" | "light" | "dark")}>
          <Menu.RadioItem value="auto">As the system</Menu.RadioItem>
          <Menu.RadioItem value="light">Light</Menu.RadioItem>
          <Menu.RadioItem value="dark">Dark</Menu.RadioItem>
        </Menu.RadioGroup>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void session.signOut()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
