import { onContentUpdated } from 'vitepress';
import DefaultTheme from 'vitepress/theme-without-fonts';
import './style.css';

export default {
  extends: DefaultTheme,
  setup() {
    // VitePress gives the first page no landmark for its content.
    onContentUpdated(() =>
      globalThis.document.querySelector('.VPContent.is-home')?.setAttribute('role', 'main'),
    );
  },
};
