import { IconChevronUp } from "@tabler/icons-react";
import { useOwn } from "@/context/services";
import classes from "./Navigation.module.css";

export function UserName() {
  const { user } = useOwn();
  return (
    <>
      <span className={classes.label}>
        <span className={classes.name}>{user.name || user.email}</span>
        {user.name !== "" && <span className={classes.email}>{user.email}</span>}
      </span>
      <IconChevronUp size={16} aria-hidden />
    </>
  );
}
