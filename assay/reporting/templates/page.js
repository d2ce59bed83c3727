// Highlighting one model everywhere, and the findings of one arm. No library, no network.
'use strict';

(() => {
  const light = look => {
    document.body.classList.toggle('dim', look !== null);
    document.querySelectorAll('.lit').forEach(node => node.classList.remove('lit'));
    if (look !== null) {
      document.querySelectorAll(`.m${look}, [data-look="${look}"]`).forEach(node => node.classList.add('lit'));
    }
  };
  document.querySelectorAll('.key li').forEach(item => {
    item.addEventListener('pointerenter', () => light(item.dataset.look));
    item.addEventListener('pointerleave', () => light(null));
  });

  const bar = document.querySelector('#findings .filter');
  const show = owner => {
    document.querySelectorAll('#findings tr[data-owner]').forEach(row => {
      row.hidden = owner !== null && row.dataset.owner !== owner;
    });
    bar.hidden = owner === null;
    bar.querySelector('b').textContent = owner ?? '';
  };
  if (bar) {
    document.querySelectorAll('.strip a[data-owner]').forEach(link => link.addEventListener('click', () => show(link.dataset.owner)));
    bar.querySelector('button').addEventListener('click', () => show(null));
  }
})();
